package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

// Window is a part of a window's result. The main part is what the window held
// when it closed; each frame that came after that leaves a part of its own, so
// that nobody has to read what is there before he writes.
type Window struct {
	_          struct{} `cbor:",toarray"`
	Site       id.Site
	Pipeline   string // within the site, as Device
	Revision   uint64 // of the pipeline's document: results of two are never mixed
	Device     string
	Stage      int
	Start, End int64  // Unix microseconds; End is not in it
	Run        id.Run // of a late part its frame, with Seq; zero of the main part
	Seq        uint64
	Part       pipeline.Partial
}

// MaxWindows bounds what one Windows yields: ten weeks of a device's minutes.
const MaxWindows = 100_000

// maxStage is what the byte of a stage in a key can hold.
const maxStage = math.MaxUint8

// windowTail is what follows the device in a window's key: stage, start, run
// and seq.
const windowTail = 1 + 8 + len(id.Run{}) + 8

// windowValue is the value under a window's key.
type windowValue struct {
	_    struct{} `cbor:",toarray"`
	End  int64
	Part pipeline.Partial
}

// windowsOf is the prefix of what a revision of a pipeline left.
func windowsOf(site id.Site, name string, revision uint64) []byte {
	key := append(named(keyWindow, string(site)), name...)
	return binary.BigEndian.AppendUint64(append(key, 0), revision)
}

// appendDevice continues windowsOf with a device.
func appendDevice(dst []byte, device string) []byte { return append(append(dst, device...), 0) }

// windowKey sorts the parts of a window behind one another, the main part
// first, and the windows of a device by stage and start.
func windowKey(w *Window) []byte {
	key := appendDevice(windowsOf(w.Site, w.Pipeline, w.Revision), w.Device)
	key = appendTime(append(key, byte(w.Stage)), w.Start)
	return binary.BigEndian.AppendUint64(append(key, w.Run[:]...), w.Seq)
}

// parseWindowKey reads what follows windowsOf in a key, and returns how many
// bytes of it say device and stage.
func parseWindowKey(rest []byte, w *Window) (int, error) {
	n := bytes.IndexByte(rest, 0)
	if n < 0 || len(rest) != n+1+windowTail {
		return 0, fmt.Errorf("window key that ends in %d bytes", len(rest))
	}
	w.Device = string(rest[:n])
	tail := rest[n+1:]
	w.Stage, w.Start = int(tail[0]), timeOf(tail[1:])
	copy(w.Run[:], tail[9:])
	w.Seq = binary.BigEndian.Uint64(tail[9+len(w.Run):])
	return n + 2, nil
}

func (w *writer) window(win *Window) error {
	if win.Stage < 0 || win.Stage > maxStage || win.End <= win.Start || win.Part.Count == 0 {
		return fmt.Errorf("window of %s/%s for %s: stage %d from %d to %d with %d rows", win.Site, win.Pipeline, win.Device, win.Stage, win.Start, win.End, win.Part.Count)
	}
	keep := w.retention()
	if late := win.Run != (id.Run{}); late && keep != forever {
		// Alone it would be read as the whole: it goes no later than the main
		// part, which was written at the window's end or after it.
		if keep = min(keep, w.store.cfg.Retention-max(0, time.Since(time.UnixMicro(win.End)))); keep <= 0 {
			return nil
		}
	}
	return w.encoded(windowKey(win), windowValue{End: win.End, Part: win.Part}, keep)
}

// Windows yields the results of a revision of the pipeline called name for a
// device, or for all devices if device is empty: the windows with from <= Start
// < to, by device, stage and start, at most limit of them (0 or more than
// MaxWindows: MaxWindows). Each is merged of all its parts, and has no run.
// After an error it yields nothing more. It sees the store as it was when it
// began.
func (s *Store) Windows(ctx context.Context, site id.Site, name string, revision uint64, device string, from, to time.Time, limit int) iter.Seq2[Window, error] {
	if limit <= 0 || limit > MaxWindows {
		limit = MaxWindows
	}
	return func(yield func(Window, error) bool) {
		err := s.db.View(func(txn *badger.Txn) error {
			scan := &windowScan{store: s, of: Window{Site: site, Pipeline: name, Revision: revision}, from: micros(from), to: micros(to)}
			scan.open(txn, device)
			defer scan.it.Close()
			return scan.merged(ctx, limit, func(w Window) bool { return yield(w, nil) })
		})
		if err != nil {
			yield(Window{}, fmt.Errorf("history: windows of %s/%s revision %d: %w", site, name, revision, err))
		}
	}
}

// windowScan walks the parts of windows in the order of their keys.
type windowScan struct {
	store    *Store
	it       *badger.Iterator
	of       Window // what all have in common
	prefix   []byte // windowsOf
	from, to int64  // microseconds
}

func (s *windowScan) open(txn *badger.Txn, device string) {
	s.prefix = windowsOf(s.of.Site, s.of.Pipeline, s.of.Revision)
	opt := walk(s.prefix)
	if device != "" {
		opt.Prefix = appendDevice(bytes.Clone(s.prefix), device)
	}
	s.it = txn.NewIterator(opt)
	s.it.Rewind()
}

// merged calls f with each window, until it wants no more.
func (s *windowScan) merged(ctx context.Context, limit int, f func(Window) bool) error {
	var w Window // what was merged so far; without rows there is none
	for n := 0; n < limit; {
		part, ok, err := s.next(ctx)
		if err != nil {
			return err
		}
		if ok && part.Device == w.Device && part.Stage == w.Stage && part.Start == w.Start && w.Part.Count > 0 {
			w.Part.Merge(part.Part)
			continue
		}
		if w.Part.Count > 0 {
			if !f(w) {
				return nil
			}
			n++
		}
		if !ok {
			return nil
		}
		w = part
		w.Run, w.Seq = id.Run{}, 0
	}
	return nil
}

// next returns the next part in the range. Of each device and stage it looks
// at one key before the range and at one behind it.
func (s *windowScan) next(ctx context.Context) (Window, bool, error) {
	for s.it.Valid() {
		if err := ctx.Err(); err != nil { // many devices may have nothing in the range
			return Window{}, false, err
		}
		item := s.it.Item()
		key := item.Key()
		w := s.of
		n, err := parseWindowKey(key[len(s.prefix):], &w)
		if err != nil {
			return w, false, err
		}
		switch stage := key[:len(s.prefix)+n]; {
		case w.Start < s.from:
			s.it.Seek(appendTime(bytes.Clone(stage), s.from))
			continue
		case w.Start >= s.to:
			s.it.Seek(slices.Concat(stage, bytes.Repeat([]byte{0xff}, windowTail))) // behind all of the stage
			continue
		}
		if err := s.value(item, &w); err != nil {
			return w, false, fmt.Errorf("%s stage %d from %s, run %s seq %d: %w",
				w.Device, w.Stage, time.UnixMicro(w.Start).UTC().Format(time.RFC3339), w.Run, w.Seq, err)
		}
		s.it.Next()
		return w, true, nil
	}
	return Window{}, false, nil
}

func (s *windowScan) value(item *badger.Item, w *Window) error {
	return item.Value(func(v []byte) error {
		b, err := s.store.open(item.Key(), v)
		if err != nil {
			return err
		}
		var in windowValue
		if err := s.store.dec.Unmarshal(b, &in); err != nil {
			return err
		}
		w.End, w.Part = in.End, in.Part
		return nil
	})
}
