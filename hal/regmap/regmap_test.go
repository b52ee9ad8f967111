package regmap

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// drive runs a task to its end without waiting and returns the waits' sum.
func drive(b i2c.Bus, t bus.Task[i2c.Bus]) (time.Duration, error) {
	var sum time.Duration
	for {
		wait, done, err := t.Step(b)
		if sum += wait; done || err != nil {
			return sum, err
		}
	}
}

// transcript is an exchange on the bus and the outcome of each reading; the
// package comment of firmware-profiles has its form.
type transcript struct {
	i2ctest.Playback
	addr  uint16
	nacks map[int]bool // which transactions are not acknowledged
	wants []outcome
}

// outcome is what a reading must give: its points, or an error with that text.
type outcome struct {
	points []string // "name=value"
	fail   string
}

// Tx plays the next transaction back.
func (tr *transcript) Tx(addr uint16, w, r []byte) error {
	if !tr.nacks[tr.Count] {
		return tr.Playback.Tx(addr, w, r)
	}
	tr.Ops[tr.Count].R = make([]byte, len(r))
	if err := tr.Playback.Tx(addr, w, r); err != nil {
		return err
	}
	return errors.New("sysfs-i2c: remote I/O error")
}

func parseTranscript(t *testing.T, name string, data []byte) *transcript {
	t.Helper()
	tr := &transcript{Playback: i2ctest.Playback{DontPanic: true}, nacks: map[int]bool{}}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(b) == 0 {
			return nil
		}
		return b
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		verb, rest, _ := strings.Cut(s.Text(), " ")
		switch verb {
		case "#", "":
		case "address":
			tr.addr = uint16(unhex(rest)[0])
		case "w":
			w, r, _ := strings.Cut(rest, "r")
			tr.Ops = append(tr.Ops, i2ctest.IO{Addr: tr.addr, W: unhex(w), R: unhex(r)})
		case "r":
			tr.Ops = append(tr.Ops, i2ctest.IO{Addr: tr.addr, R: unhex(rest)})
		case "nack":
			tr.nacks[len(tr.Ops)] = true
			tr.Ops = append(tr.Ops, i2ctest.IO{Addr: tr.addr, W: unhex(rest)})
		case "read":
			tr.wants = append(tr.wants, outcome{points: strings.Fields(rest)})
		case "fail":
			tr.wants = append(tr.wants, outcome{fail: rest})
		default:
			t.Fatalf("%s: unknown line %q", name, s.Text())
		}
	}
	return tr
}

func TestEveryProfileReadsItsTranscriptToTheLastTransaction(t *testing.T) {
	for _, id := range profiles.IDs() {
		p := load(t, id)
		if p.Bus.Type != profile.BusI2C {
			continue // hal/line plays it
		}
		t.Run(id, func(t *testing.T) {
			data, err := fs.ReadFile(profiles.FS(), id+"/transcript.txt")
			if err != nil {
				t.Fatal(err)
			}
			tr := parseTranscript(t, id, data)
			if !p.Bus.Has(tr.addr) || len(tr.wants) < 2 {
				t.Fatalf("address %#02x, %d readings: want an address of the type and at least 2", tr.addr, len(tr.wants))
			}
			d := New(p, tr.addr)
			var s profile.Sample
			for i, want := range tr.wants {
				before := profile.Sample{V: slices.Clone(s.V), Q: s.Q}
				_, err := drive(tr, d.Read(&s))
				switch {
				case want.fail == "" && err == nil:
					checkSample(t, p, s, want.points)
				case want.fail == "":
					t.Fatalf("reading %d: %v", i+1, err)
				case err == nil || !strings.Contains(err.Error(), want.fail):
					t.Fatalf("reading %d: %v, want an error with %q", i+1, err, want.fail)
				case !slices.Equal(s.V, before.V) || s.Q != before.Q:
					t.Fatalf("reading %d failed and changed the sample to %+v", i+1, s)
				}
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkSample(t *testing.T, p *profile.Profile, s profile.Sample, want []string) {
	t.Helper()
	var got []string
	for i, point := range p.Points {
		one := fmt.Sprintf("%s=%d", point.Name, s.V[i])
		switch q := wire.QualityOf(s.Q, i); q {
		case wire.Good:
		case wire.Bad:
			one = fmt.Sprintf("%s=bad", point.Name)
		default:
			one += ":" + q.String()
		}
		got = append(got, one)
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %s, want %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func load(t testing.TB, id string) *profile.Profile {
	t.Helper()
	p, err := profiles.Load(id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t testing.TB, doc string) *profile.Profile {
	t.Helper()
	p, err := profile.Parse("test.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// script answers transactions from a function and records the writes.
type script struct {
	i2ctest.Record
	answer func(n int, w, r []byte) error
	writes []string
}

func (s *script) Tx(_ uint16, w, r []byte) error {
	s.writes = append(s.writes, hex.EncodeToString(w))
	return s.answer(len(s.writes), w, r)
}

const setUp = `
id: test.device
version: 1
bus: {type: i2c, addr: [0x40]}
calib: {steps: [{tx: {w: [0xc0], r: 1}}], raw: {k: {at: 0, type: u8}}}
init: [{tx: {w: [0x10, 0x01]}}, {delay: 5ms}]
read:
  - tx: {w: [0x01]}
  - delay: 3ms
  - poll: {w: [0x02], mask: 0x80, eq: 0, every: 1ms, limit: 2ms}
  - tx: {w: [0x03], r: 3}
  - crc: {poly: 0x31, init: 0xff, word: 2}
raw: {v: {at: 0, type: u16be}}
points: [{name: p, expr: v*k, unit: "1", resolution: 1, range: [0, 100000]}]
`

// word answers beef with its CRC, 0x92 (Sensirion's example).
func word(n int, w, r []byte) error {
	switch w[0] {
	case 0xc0:
		r[0] = 2
	case 0x02:
		r[0] = 0
	case 0x03:
		copy(r, []byte{0xbe, 0xef, 0x92})
	}
	return nil
}

func TestSetUpRunsOnceAndWaitsAreReturnedNotSlept(t *testing.T) {
	b := &script{answer: word}
	d := New(parse(t, setUp), 0x40)
	var s profile.Sample
	for i, want := range []struct {
		waits  time.Duration
		writes string
	}{{8 * time.Millisecond, "c0 1001 01 02 03"}, {3 * time.Millisecond, "01 02 03"}} {
		b.writes = nil
		waits, err := drive(b, d.Read(&s))
		if err != nil || waits != want.waits || strings.Join(b.writes, " ") != want.writes {
			t.Errorf("reading %d: waits %v, writes %v, %v; want %v and %s", i, waits, b.writes, err, want.waits, want.writes)
		}
		if s.V[0] != 0xbeef*2 || s.Q != 0 {
			t.Errorf("reading %d: %+v", i, s)
		}
	}
}

func TestSetUpRunsAgainAfterWhatSuggestsAReset(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(w, r []byte) error
		text  string
		kind  bus.ErrorKind
		next  string // what the next reading writes
	}{
		"nack": {func(w, r []byte) error {
			return errors.New("sysfs-i2c: remote I/O error")
		}, "regmap: test.device: read step 1: sysfs-i2c: remote I/O error", bus.KindNack, "c0 1001 01 02 03"},
		"poll": {func(w, r []byte) error {
			if w[0] == 0x02 {
				r[0] = 0xff
			}
			return nil
		}, "read step 3: never ready: status 0xff after 2ms", bus.KindPoll, "c0 1001 01 02 03"},
		"crc": {func(w, r []byte) error {
			_ = word(0, w, r)
			if w[0] == 0x03 {
				r[1] ^= 4
			}
			return nil
		}, "read step 5: crc mismatch", bus.KindCRC, "01 02 03"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &script{answer: word}
			d := New(parse(t, setUp), 0x40)
			s := profile.Sample{}
			if _, err := drive(b, d.Read(&s)); err != nil {
				t.Fatal(err)
			}
			before := s.V[0]
			b.answer = func(_ int, w, r []byte) error { return c.fault(w, r) }
			_, err := drive(b, d.Read(&s))
			if err == nil || !strings.Contains(err.Error(), c.text) || bus.Kind(err) != c.kind {
				t.Fatalf("got %v (%s), want %q (%s)", err, bus.Kind(err), c.text, c.kind)
			}
			if s.V[0] != before {
				t.Errorf("a failed reading changed the sample to %d", s.V[0])
			}
			b.answer, b.writes = word, nil
			if _, err := drive(b, d.Read(&s)); err != nil || strings.Join(b.writes, " ") != c.next {
				t.Errorf("the next reading writes %v, %v; want %s", b.writes, err, c.next)
			}
		})
	}
}

func TestAPollIsRepeatedUntilItsLimitAndNoLonger(t *testing.T) {
	polls := 0
	b := &script{answer: func(_ int, w, r []byte) error {
		_ = word(0, w, r)
		if w[0] == 0x02 {
			if polls++; polls < 3 {
				r[0] = 0x80
			}
		}
		return nil
	}}
	d := New(parse(t, setUp), 0x40)
	var s profile.Sample
	waits, err := drive(b, d.Read(&s))
	if err != nil || polls != 3 || waits != 10*time.Millisecond {
		t.Errorf("%d polls, %v of waits, %v; want 3 within the limit of 2ms and 10ms", polls, waits, err)
	}
}

func TestADeviceOnItsOwnerIsReadThereAndKnowsNoCommands(t *testing.T) {
	b := &script{answer: word}
	owner := bus.New[i2c.Bus]("i2c-1", b, bus.Config{}, slog.New(slog.DiscardHandler), nil)
	bound := New(parse(t, setUp), 0x40).On(owner)
	var s profile.Sample
	ended := make(chan error, 1)
	done := func(err error) { ended <- err }
	if err := bound.Read(&s, done); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || s.V[0] != 0xbeef*2 {
		t.Errorf("read %v, %v", s.V, err)
	}
	err := bound.Do(&profile.Command{Name: "set"}, nil, done)
	if err == nil || err.Error() != "regmap: profile test.device has no commands" {
		t.Errorf("Do = %v", err)
	}
	if err := owner.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = bound.Read(&s, done)
	if !errors.Is(err, bus.ErrClosed) || !strings.HasPrefix(err.Error(), "bus: i2c-1: device at 0x40: ") {
		t.Errorf("a reading on a closed bus: %v", err)
	}
}

// A step that outlives its deadline is over for whoever submitted it: the
// kernel's late answer must not reach the sample, which its owner reads again.
func TestWhatComesAfterAStallDoesNotChangeTheSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &script{answer: func(_ int, w, r []byte) error {
			if w[0] == 0x03 {
				time.Sleep(3 * time.Second)
			}
			return word(0, w, r)
		}}
		owner := bus.New[i2c.Bus]("b", slow, bus.Config{Deadline: time.Second}, slog.New(slog.DiscardHandler), nil)
		d := New(parse(t, setUp), 0x40)
		s := profile.Sample{V: []int64{-1}}
		ended := make(chan error)
		if err := d.On(owner).Read(&s, func(err error) { ended <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, bus.ErrStalled) {
			t.Fatal(err)
		}
		if s.V[0] != -1 { // without Abandon this races with the worker
			t.Errorf("the sample is %d at the stall", s.V[0])
		}
		if err := owner.Close(t.Context()); err != nil { // the kernel has returned
			t.Fatal(err)
		}
		if s.V[0] != -1 {
			t.Errorf("the late result wrote %d", s.V[0])
		}
		slow.answer, slow.writes = word, nil
		if _, err := drive(slow, d.Read(&s)); err != nil || s.V[0] != 0xbeef*2 || strings.Join(slow.writes, " ") != "c0 1001 01 02 03" {
			t.Errorf("after the stall: %+v, %v, wrote %v", s, err, slow.writes)
		}
	})
}

// I6: a device whose calibration came changed was never set up, although it
// answers; reading on would compute with a calibration of zeros.
func TestACRCMismatchInTheCalibrationIsNotTakenForASetUpDevice(t *testing.T) {
	doc := strings.Replace(setUp,
		"calib: {steps: [{tx: {w: [0xc0], r: 1}}], raw: {k: {at: 0, type: u8}}}",
		"calib: {steps: [{tx: {w: [0xc0], r: 3}}, {crc: {poly: 0x31, init: 0xff, word: 2}}], raw: {k: {at: 0, type: u16be}}}", 1)
	broken := true
	b := &script{answer: func(_ int, w, r []byte) error {
		copy(r, []byte{0xbe, 0xef, 0x92}[:len(r)])
		if w[0] == 0x02 {
			r[0] = 0
		}
		if w[0] == 0xc0 && broken {
			r[0] ^= 1
		}
		return nil
	}}
	d := New(parse(t, doc), 0x40)
	var s profile.Sample
	if _, err := drive(b, d.Read(&s)); !errors.Is(err, ErrCRC) || !strings.Contains(err.Error(), "calib step 2") {
		t.Fatal(err)
	}
	broken, b.writes = false, nil
	if _, err := drive(b, d.Read(&s)); err != nil || s.V[0] != 0xbeef*0xbeef || strings.Join(b.writes, " ") != "c0 1001 01 02 03" {
		t.Errorf("the next reading gave %+v, %v and wrote %v", s, err, b.writes)
	}
}

func TestAnAbandonedReadingStartsOverAndItsLateResultIsDropped(t *testing.T) {
	stuck, release := make(chan struct{}), make(chan struct{})
	b := &script{answer: func(n int, w, r []byte) error {
		if n == 5 {
			close(stuck)
			<-release
		}
		return word(n, w, r)
	}}
	d := New(parse(t, setUp), 0x40)
	var s profile.Sample
	late := d.Read(&s)
	ended := make(chan error)
	go func() { // the worker of a bus, stuck in the last transaction
		_, err := drive(b, late)
		ended <- err
	}()
	<-stuck
	late.Abandon()
	again := d.Read(&s)
	s.V[0] = -1
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if s.V[0] != -1 {
		t.Fatalf("the abandoned step wrote %d", s.V[0])
	}
	b.writes = make([]string, 10)
	if _, err := drive(b, again); err != nil || s.V[0] != 0xbeef*2 {
		t.Fatalf("the new reading gave %+v, %v", s, err)
	}
	if got := strings.Join(b.writes[10:], " "); got != "c0 1001 01 02 03" {
		t.Errorf("the new reading wrote %s, want the set-up again", got)
	}
}

// A step may be late to begin, too: the owner has given up by then, and the
// device's next task was refused.
func TestAStepThatBeginsAfterAStallTouchesNothing(t *testing.T) {
	b := &script{answer: word}
	d := New(parse(t, setUp), 0x40)
	var s profile.Sample
	stalled := d.Read(&s)
	stalled.Abandon()
	d.Read(&s)
	if _, done, err := stalled.Step(b); !done || err != nil || len(b.writes) != 0 {
		t.Errorf("a step after the task's end: done %v, %v, wrote %v", done, err, b.writes)
	}
}

func TestAReadingDoesNotAllocateInTheSteadyState(t *testing.T) {
	bme := fakeBME280()
	d := New(load(t, "bosch.bme280"), 0x76)
	var s profile.Sample
	if _, err := drive(bme, d.Read(&s)); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		if _, err := drive(bme, d.Read(&s)); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations for a reading, want 0", n)
	}
}

func TestCRC8MatchesTheDatasheetsExamples(t *testing.T) {
	sensirion := profile.CRC{Poly: 0x31, Init: 0xff, Word: 2}
	if c := crc8([]byte{0xbe, 0xef}, sensirion); c != 0x92 { // SHT3x-DIS datasheet, 4.12
		t.Errorf("crc of beef = %#02x, want 0x92", c)
	}
	if c := crc8([]byte("123456789"), profile.CRC{Poly: 0x07}); c != 0xf4 { // CRC-8/SMBUS check value
		t.Errorf("crc of 123456789 = %#02x, want 0xf4", c)
	}
	b := []byte{0xbe, 0xef, 0x92, 0xbe, 0xef, 0x92}
	if err := checkCRC(b, sensirion); err != nil || !bytes.Equal(b[:4], []byte{0xbe, 0xef, 0xbe, 0xef}) {
		t.Errorf("checked bytes are % x, %v", b[:4], err)
	}
	for i := range 6 {
		b := []byte{0xbe, 0xef, 0x92, 0xbe, 0xef, 0x92}
		b[i] ^= 0x10
		if err := checkCRC(b, sensirion); !errors.Is(err, ErrCRC) {
			t.Errorf("a changed byte %d was not found", i)
		}
	}
}

func BenchmarkReadBME280(b *testing.B) {
	bme := fakeBME280()
	d := New(load(b, "bosch.bme280"), 0x76)
	var s profile.Sample
	b.ReportAllocs()
	for b.Loop() {
		if _, err := drive(bme, d.Read(&s)); err != nil {
			b.Fatal(err)
		}
	}
}
