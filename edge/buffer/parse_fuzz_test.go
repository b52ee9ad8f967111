package buffer

import (
	"bytes"
	"errors"
	"testing"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// I6: whatever storage returns is refused as corrupt or is what was written.
func FuzzStoredValuesAreRefusedOrRoundTrip(f *testing.F) {
	run := id.Run{1, 2, 3}
	rec := record{ordinal: 7, class: wire.Telemetry, state: wire.RunClosed, boot: id.Boot{4}, first: 3, last: 9}
	f.Add(rec.append(nil))
	gap := newGap(run, wire.GapQuota, 5, 8, 40, -3, 12)
	seg := describe([]item{gap})
	f.Add(seg.key(run, wire.Events))
	frame := wire.Frame{Run: run, Seq: 9, Clk: 1, T0: 1, Blocks: []wire.Block{{SID: 1, N: 1, Data: []byte{0, 0, 0}}}}
	f.Add(appendSegment(nil, []item{gap, {msg: frame.Append(nil)}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRecord(data); err == nil && !bytes.Equal(r.append(nil), data) {
			t.Errorf("record %x came back as %x", data, r.append(nil))
		}
		if owner, class, s, err := parseSegmentKey(data); err == nil && !bytes.Equal(s.key(owner, class), data) {
			t.Errorf("key %x came back as %x", data, s.key(owner, class))
		}
		for _, s := range []segment{{first: 5, last: 9}, {first: 5, last: 8}} {
			items, err := parseSegment(run, &s, data)
			if err != nil {
				if !errors.Is(err, errCorrupt) {
					t.Errorf("parseSegment = %v, want corrupt", err)
				}
				continue
			}
			if back := appendSegment(nil, items); !bytes.Equal(back, data) {
				t.Errorf("segment %x came back as %x", data, back)
			}
			for i := range items {
				if err := items[i].parseFrame(); err != nil && !errors.Is(err, errCorrupt) {
					t.Errorf("parseFrame = %v, want corrupt", err)
				}
			}
		}
		if v, err := unseal(data, seal(data, bytes.Clone(data))); err != nil || !bytes.Equal(v, data) {
			t.Errorf("unseal = %x, %v", v, err)
		}
		if len(data) > 0 {
			sealed := seal(data, bytes.Clone(data))
			sealed[int(data[0])%len(sealed)] ^= 0x10
			if _, err := unseal(data, sealed); !errors.Is(err, errCorrupt) {
				t.Errorf("a flipped bit passed: %v", err)
			}
		}
	})
}
