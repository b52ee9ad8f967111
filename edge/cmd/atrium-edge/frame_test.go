package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestFramesAreExportedAndDumped(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/frame", Setup: func(env *testscript.Env) error {
		if err := stopped(env.Getenv("WORK") + "/state"); err != nil {
			return err
		}
		return lanes(env.Getenv("WORK"))
	}})
}

// The page shows the commands as they are: each line runs, in its order.
func TestTheFrameCommandsOfTheCommandLinePageRun(t *testing.T) {
	page, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := stopped(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	ran := 0
	for line := range strings.Lines(string(page)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "atrium-edge frame ")
		if !ok {
			continue
		}
		ran++
		var out bytes.Buffer
		cmd := newRoot()
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(strings.Fields("frame " + strings.ReplaceAll(line, "/var/lib/atrium", dir)))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if strings.HasPrefix(line, "dump") && !strings.Contains(out.String(), `"n":"hq/t1/temperature"`) {
			t.Errorf("%s prints %s", line, out.String())
		}
	}
	if ran < 2 {
		t.Errorf("%d commands were found", ran)
	}
}

// stopped leaves the state of a gateway that was stopped with two readings of
// hq/t1 that nobody acked.
func stopped(state string) error {
	store, err := buffer.OpenBadger(filepath.Join(state, "buffer"), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	b, err := buffer.Open(context.Background(), buffer.Config{
		Boot: id.Boot{1}, Now: func() time.Duration { return time.Second },
		Limit: 64 << 20, Reserve: 1 << 20, MaxMemory: 1 << 20, CommitInterval: time.Second, Linger: time.Second,
	}, store, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	b.SetClock(1_790_000_000_000_000, 1000, wire.ClockSystem)
	body := wire.Body{Profile: "ti.tmp102", Version: 1, Tick: 1_000_000, Columns: []wire.Column{{Point: "temperature", Unit: "Cel", Mantissa: 625, Exponent: -4}}}
	s, err := b.Series(id.Device{Site: "hq", Name: "t1"}, body, [32]byte{}, 1000)
	if err != nil {
		return err
	}
	for i, v := range []int64{343, 344} {
		if err := s.Append(1000*int64(1+i), 0, []int64{v}, 0); err != nil {
			return err
		}
	}
	return b.Close(context.Background())
}

// lanes writes files as a capture of a lane would hold: good, cut, and each
// with something missing or unknown.
func lanes(dir string) error {
	body := wire.Body{Profile: "p", Tick: 1_000_000, Columns: []wire.Column{{Point: "state", Kind: wire.KindText, Mantissa: 1}, {Point: "on", Unit: "1", Kind: wire.KindBoolean, Mantissa: 1}}}
	run := id.Run{1}
	schema := wire.Schema{Run: run, SID: 1, Device: id.Device{Site: "hq", Name: "door"}, Hash: wire.HashBody(body.Append(nil)), Body: body.Append(nil)}
	clock := wire.Clock{Run: run, Clk: 1, UTC0: 1_790_000_000_000_000}
	var rows wire.Rows
	for i, said := range []string{"closed", "open", "open"} {
		v, _ := rows.Text(0, said)
		rows.Append(int64(i), wire.WithQuality(0, 1, []wire.Quality{wire.Good, wire.Bad, wire.OutOfRange}[i]), []int64{v, int64(min(i, 1))})
	}
	frame := wire.Frame{Run: run, Seq: 1, Clk: 1, Blocks: []wire.Block{{SID: 1, N: 3, Data: wire.AppendColumns(nil, &rows, 0)}}}
	gap := wire.Gap{Run: run, A: 2, B: 4, Reason: wire.GapQuota, Readings: 60}
	item := func(m interface{ Append([]byte) []byte }) []byte { return wire.AppendItem(nil, m.Append(nil)) }
	good := slices.Concat(item(&schema), item(&clock), item(&frame), item(&gap))
	flipped := slices.Clone(good)
	flipped[len(flipped)-len(item(&gap))-1] ^= 1
	for name, b := range map[string][]byte{
		"good.cbor":      good,
		"cut.cbor":       good[:len(good)-1],
		"flipped.cbor":   flipped,
		"no-schema.cbor": slices.Concat(item(&clock), item(&frame)),
		"unknown.cbor":   slices.Concat(good, wire.AppendItem(nil, []byte{0x82, 1, 5})),
		"later.cbor":     slices.Concat(good, wire.AppendItem(nil, []byte{0x82, 1, 0x18, 200})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
