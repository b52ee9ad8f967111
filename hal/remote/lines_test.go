package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/hal/bus"
)

// pair is a chip of two lines; line 1 is held by another program.
type pair struct {
	free wire
	gate chan struct{} // Line blocks while it is set and not closed
	busy chan struct{} // closed when a request waits at gate
}

func (c *pair) Line(offset int) (gpio.PinIO, error) {
	if c.gate != nil {
		close(c.busy)
		<-c.gate
	}
	switch offset {
	case 0:
		return &c.free, nil
	case 1:
		return heldPin{&c.free}, nil
	}
	return nil, fmt.Errorf("pair has no line %d", offset)
}

// wire is a line that remembers what was done to it last.
type wire struct {
	gpio.PinIO
	level gpio.Level
	pull  gpio.Pull
}

func (p *wire) In(pull gpio.Pull, _ gpio.Edge) error { p.pull = pull; return nil }
func (p *wire) Out(l gpio.Level) error               { p.level = l; return nil }
func (p *wire) Read() gpio.Level                     { return p.level }

// heldPin is what gpioioctl says of a line that somebody else has requested.
type heldPin struct{ *wire }

func (heldPin) In(gpio.Pull, gpio.Edge) error {
	return errors.New("line_request ioctl: device or resource busy")
}

func (p heldPin) Out(gpio.Level) error { return p.In(gpio.Float, gpio.NoEdge) }

// ofChip is a board with that chip alone.
func ofChip(c Chip) Board { return Board{Chips: map[string]Chip{"sim-gpio-0": c}} }

func dialLines(t *testing.T, b *board) *Lines {
	t.Helper()
	l, err := DialLines(t.Context(), b.socket, "sim-gpio-0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func lineOf(t *testing.T, l *Lines, offset int) *line {
	t.Helper()
	p, err := l.Line(offset)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*line)
}

func TestALineIsReadPulledAndDrivenFromAfar(t *testing.T) {
	chip := &pair{}
	l := dialLines(t, startBoard(t, ofChip(chip)))
	p := lineOf(t, l, 0)
	if err := p.In(gpio.PullDown, gpio.NoEdge); err != nil || chip.free.pull != gpio.PullDown || p.Pull() != gpio.PullDown {
		t.Errorf("In = %v, the far pull is %v and the near %v", err, chip.free.pull, p.Pull())
	}
	for _, level := range []gpio.Level{gpio.High, gpio.Low} {
		chip.free.level = level
		if got, err := p.TryRead(); err != nil || got != level || p.Read() != level {
			t.Errorf("read %v, %v, want %v", got, err, level)
		}
	}
	for _, level := range []gpio.Level{gpio.High, gpio.Low} {
		if err := p.Out(level); err != nil || chip.free.level != level {
			t.Errorf("Out(%v) = %v, the far level is %v", level, err, chip.free.level)
		}
	}
	if p.Number() != 0 || p.String() != "sim-gpio-0 line 0" || l.String() != "sim-gpio-0" {
		t.Errorf("names: %d, %s, %s", p.Number(), p, l)
	}
}

func TestAnErrorOfTheFarLineKeepsTheKernelsWords(t *testing.T) {
	l := dialLines(t, startBoard(t, ofChip(&pair{})))
	held := lineOf(t, l, 1)
	var far *BusError
	if err := held.Out(gpio.High); !errors.As(err, &far) || bus.Kind(err) != bus.KindArbitration {
		t.Errorf("a held line: %v (%s)", err, bus.Kind(err))
	}
	if _, err := lineOf(t, l, 2).TryRead(); !errors.As(err, &far) || far.Text != "pair has no line 2" {
		t.Errorf("a line that there is not: %v", err)
	}
	if err := lineOf(t, l, 0).Out(gpio.High); err != nil {
		t.Errorf("after the errors: %v", err)
	}
}

func TestWhatIsNotCarriedIsRefusedNearby(t *testing.T) {
	b := &board{t: t, socket: filepath.Join(t.TempDir(), "none")}
	l, err := NewLines(b.socket, "sim-gpio-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{-1, 1 << 16} {
		if p, err := l.Line(offset); err == nil {
			t.Errorf("line %d is %v", offset, p)
		}
	}
	p := lineOf(t, l, 0)
	if err := p.In(gpio.Float, gpio.BothEdges); err == nil || !strings.Contains(err.Error(), "edges are not carried") {
		t.Errorf("In with edges = %v", err)
	}
	if err := p.In(gpio.PullUp+1, gpio.NoEdge); err == nil || !strings.Contains(err.Error(), "want float, down, up") {
		t.Errorf("In with another pull = %v", err)
	}
	if err := p.PWM(gpio.DutyHalf, 0); err == nil || p.WaitForEdge(-1) {
		t.Errorf("PWM = %v", err)
	}
}

func TestOpeningAChipSaysWhichThereAre(t *testing.T) {
	b := startBoard(t, ofChip(&pair{}))
	if _, err := DialLines(t.Context(), b.socket, "gpiochip0"); err == nil || !strings.Contains(err.Error(), `no GPIO chip "gpiochip0" on this board, it has sim-gpio-0`) {
		t.Errorf("unknown chip: %v", err)
	}
	if _, err := Dial(t.Context(), b.socket, "sim-gpio-0"); err == nil || !strings.Contains(err.Error(), `no bus "sim-gpio-0" on this board, it has none`) {
		t.Errorf("a chip as a bus: %v", err)
	}
	if _, err := NewLines(b.socket, ""); err == nil {
		t.Error("a chip without a name was accepted")
	}
}

func TestTheLinesComeBackWhenTheirBoardIsRestarted(t *testing.T) {
	chip := &pair{}
	b := startBoard(t, ofChip(chip))
	p := lineOf(t, dialLines(t, b), 0)
	if err := p.Out(gpio.High); err != nil {
		t.Fatal(err)
	}
	b.stop()
	var away *UnreachableError
	if _, err := p.TryRead(); !errors.As(err, &away) || bus.Kind(err) != bus.KindUnreachable || p.Read() != gpio.Low {
		t.Errorf("without a board: %v", err)
	}
	b.start(ofChip(chip))
	if level, err := p.TryRead(); err != nil || !level {
		t.Errorf("after the restart: %v, %v", level, err)
	}
}

func TestLinesMayBeMadeBeforeTheirBoardIsThere(t *testing.T) {
	b := &board{t: t, socket: filepath.Join(t.TempDir(), "board.sock"), stop: func() {}}
	l, err := NewLines(b.socket, "sim-gpio-0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var away *UnreachableError
	if err := lineOf(t, l, 0).Out(gpio.High); !errors.As(err, &away) {
		t.Fatalf("without a board: %v", err)
	}
	b.start(ofChip(&pair{}))
	defer func() { b.stop() }()
	if err := lineOf(t, l, 0).Out(gpio.High); err != nil {
		t.Fatalf("with its board: %v", err)
	}
}

func TestCloseEndsALinesRequestInFlight(t *testing.T) {
	chip := &pair{busy: make(chan struct{}), gate: make(chan struct{})}
	l := dialLines(t, startBoard(t, ofChip(chip)))
	p := lineOf(t, l, 0)
	ended := make(chan error)
	go func() { ended <- p.Out(gpio.High) }()
	<-chip.busy
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("in flight: %v", err)
	}
	if err := p.Out(gpio.Low); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	close(chip.gate)
}

// I6: what no client sends ends its connection, and touches no line.
func TestABadRequestOfALineEndsTheConnectionAndNothingElse(t *testing.T) {
	chip := &pair{}
	b := startBoard(t, Board{Buses: map[string]i2c.Bus{"b": &memory{}}, Chips: map[string]Chip{"sim-gpio-0": chip}})
	open := appendOpen(nil, kindOpenLines, "sim-gpio-0")
	for name, in := range map[string][]byte{
		"tx":                 appendTx(bytes.Clone(open), 0x50, nil, 1),
		"open again":         append(bytes.Clone(open), open...),
		"level 2":            lineRequest{kindOut, 0, 2}.append(bytes.Clone(open)),
		"pull 4":             lineRequest{kindIn, 0, 4}.append(bytes.Clone(open)),
		"out without level":  appendMessage(bytes.Clone(open), kindOut, []byte{0, 0}),
		"read with a level":  appendMessage(bytes.Clone(open), kindRead, []byte{0, 0, 1}),
		"in without offset":  appendMessage(bytes.Clone(open), kindIn),
		"line on a bus":      lineRequest{kindOut, 0, 1}.append(appendOpen(nil, kindOpen, "b")),
		"an unknown request": appendMessage(bytes.Clone(open), kindOut+1, []byte{0, 0, 1}),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", b.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(in); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if want := appendMessage(nil, kindOpened); err != nil && !strings.Contains(err.Error(), "reset") || !bytes.Equal(got, want) {
				t.Errorf("answer %q, %v; want %q and the end", got, err, want)
			}
		})
	}
	if chip.free.level {
		t.Error("a bad request drove the line")
	}
	if err := lineOf(t, dialLines(t, b), 0).Out(gpio.High); err != nil {
		t.Errorf("the board is gone: %v", err)
	}
}

func TestALevelThatIsNoneIsAnErrorOfTheConnection(t *testing.T) {
	for name, answer := range map[string][]byte{
		"level 2":  appendMessage(nil, kindData, []byte{2}),
		"two":      appendMessage(nil, kindData, []byte{1, 1}),
		"none":     appendMessage(nil, kindData),
		"a read":   lineRequest{kind: kindRead}.append(nil),
		"cut off":  {0, 0, 0, 2, byte(kindData)},
		"too long": {0xff, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := NewLines(answering(t, answer), "c")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var away *UnreachableError
			if level, err := lineOf(t, l, 0).TryRead(); !errors.As(err, &away) || bool(level) {
				t.Errorf("got %v, %v", level, err)
			}
		})
	}
}

// answering is the socket of a server that opens anything, gives one answer to
// the first request, and leaves.
func answering(t *testing.T, answer []byte) (socket string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for _, a := range [][]byte{appendMessage(nil, kindOpened), answer} {
			if _, _, err := readMessage(conn, nil, nil); err != nil {
				t.Error(err)
			}
			if _, err := conn.Write(a); err != nil {
				t.Error(err)
			}
		}
	})
	return l.Addr().String()
}

// FuzzLineRequests: no bytes make the server's side of a chip panic, and it
// takes nothing that a client would not have sent.
func FuzzLineRequests(f *testing.F) {
	for _, q := range []lineRequest{{kindIn, 17, 3}, {kindRead, 27, 0}, {kindOut, 27, 1}} {
		f.Add(q.append(nil)[4:])
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		q, err := parseLine(msg)
		if err == nil && !bytes.Equal(q.append(nil)[4:], msg) {
			t.Fatalf("%+v is not %x", q, msg)
		}
	})
}

func BenchmarkOut(b *testing.B) {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, ofChip(&pair{}), slog.New(slog.DiscardHandler)) }()
	lines, err := DialLines(ctx, l.Addr().String(), "sim-gpio-0")
	if err != nil {
		b.Fatal(err)
	}
	p, err := lines.Line(0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Out(gpio.High); err != nil {
			b.Fatal(err)
		}
	}
	lines.Close()
	cancel()
	if err := <-served; err != nil {
		b.Fatal(err)
	}
}
