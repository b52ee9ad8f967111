package remote

import (
	"bytes"
	"context"
	"encoding/hex"
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

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/atrium-iot/atrium/hal/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a bus with one device of 256 registers at 0x50; every other
// address is absent. Tx blocks while gate is set and not closed.
type memory struct {
	mu   sync.Mutex
	m    [256]byte
	p    byte
	fail error
	busy chan struct{} // closed when a transaction waits at gate
	gate chan struct{}
}

func (d *memory) String() string                  { return "memory" }
func (d *memory) SetSpeed(physic.Frequency) error { return nil }
func (d *memory) Close() error                    { return nil }

func (d *memory) Tx(addr uint16, w, r []byte) error {
	if d.gate != nil {
		close(d.busy)
		<-d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	if addr != 0x50 {
		return errors.New("sysfs-i2c: remote I/O error")
	}
	for i, b := range w {
		if i == 0 {
			d.p = b
		} else {
			d.m[d.p] = b
			d.p++
		}
	}
	for i := range r {
		r[i] = d.m[d.p]
		d.p++
	}
	return nil
}

// board is a server in this process, which can be stopped and started again.
type board struct {
	t      *testing.T
	socket string
	stop   func()
	log    bytes.Buffer
}

func startBoard(t *testing.T, served Board) *board {
	t.Helper()
	b := &board{t: t, socket: filepath.Join(t.TempDir(), "board.sock"), stop: func() {}}
	b.start(served)
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *board) start(served Board) {
	b.t.Helper()
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, served, slog.New(slog.NewTextHandler(&b.log, nil))) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Serve = %v", err)
		}
		b.stop = func() {}
	}
}

func dial(t *testing.T, b *board, name string) i2c.BusCloser {
	t.Helper()
	c, err := Dial(t.Context(), b.socket, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestARemoteBusBehavesAsTheBusItself runs the same checks on a bus in this
// process and on the same bus behind the socket.
func TestARemoteBusBehavesAsTheBusItself(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, d *memory) i2c.BusCloser{
		"in process": func(_ *testing.T, d *memory) i2c.BusCloser { return d },
		"remote": func(t *testing.T, d *memory) i2c.BusCloser {
			return dial(t, startBoard(t, Board{Buses: map[string]i2c.Bus{"sim-i2c-1": d}}), "sim-i2c-1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &memory{}
			contract(t, open(t, d), d)
		})
	}
}

func contract(t *testing.T, b i2c.BusCloser, d *memory) {
	r := make([]byte, 3)
	if err := b.Tx(0x50, []byte{0x10, 1, 2, 3}, nil); err != nil {
		t.Fatalf("write: %v", err)
	}
	if err := b.Tx(0x50, []byte{0x10}, r); err != nil || !bytes.Equal(r, []byte{1, 2, 3}) {
		t.Fatalf("write and read: % x, %v", r, err)
	}
	if err := b.Tx(0x50, nil, r[:1]); err != nil || r[0] != 0 {
		t.Fatalf("read alone: % x, %v", r, err)
	}
	if err := b.Tx(0x50, nil, nil); err != nil {
		t.Fatalf("nothing: %v", err)
	}
	err := b.Tx(0x51, []byte{0}, r)
	if err == nil || !strings.Contains(err.Error(), "remote I/O error") || bus.Kind(err) != bus.KindNack {
		t.Fatalf("absent address: %v (%s), want the kernel's words", err, bus.Kind(err))
	}
	d.mu.Lock()
	d.fail = errors.New("sysfs-i2c: connection timed out")
	d.mu.Unlock()
	if err := b.Tx(0x50, nil, r); err == nil || bus.Kind(err) != bus.KindTimeout {
		t.Fatalf("timeout: %v (%s)", err, bus.Kind(err))
	}
	d.mu.Lock()
	d.fail = nil
	d.mu.Unlock()
	big := bytes.Repeat([]byte{0x20}, MaxTransfer)
	if err := b.Tx(0x50, big, make([]byte, MaxTransfer)); err != nil {
		t.Fatalf("the largest transfer after an error: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := make([]byte, 1)
			if err := b.Tx(0x50, []byte{byte(i), byte(i)}, nil); err != nil {
				t.Error(err)
			}
			if err := b.Tx(0x50, []byte{byte(i)}, r); err != nil || r[0] != byte(i) {
				t.Errorf("register %d = %d, %v", i, r[0], err)
			}
		})
	}
	wg.Wait()
}

func TestDialSaysWhichBusesThereAre(t *testing.T) {
	b := startBoard(t, Board{Buses: map[string]i2c.Bus{"sim-i2c-1": &memory{}, "sim-i2c-2": &memory{}}})
	_, err := Dial(t.Context(), b.socket, "i2c-9")
	if err == nil || !strings.Contains(err.Error(), `no bus "i2c-9" on this board, it has sim-i2c-1, sim-i2c-2`) {
		t.Errorf("unknown bus: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", maxName+1)} {
		if _, err := Dial(t.Context(), b.socket, name); err == nil {
			t.Errorf("a bus name of %d bytes was accepted", len(name))
		}
	}
	var far *UnreachableError
	if _, err := Dial(t.Context(), b.socket+".none", "sim-i2c-1"); !errors.As(err, &far) || bus.Kind(err) != bus.KindUnreachable {
		t.Errorf("no board: %v", err)
	}
}

// A board that is stopped still has its connections accepted by the kernel:
// only the context can end the wait for its answer.
func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "board.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Dial(ctx, l.Addr().String(), "b")
		ended <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(appendOpen(nil, kindOpen, "b")))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	cancel()
	var away *UnreachableError
	if err := <-ended; !errors.Is(err, context.Canceled) || !errors.As(err, &away) || time.Since(began) > txTimeout/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestTheBusComesBackWhenItsBoardIsRestarted(t *testing.T) {
	d := &memory{}
	served := Board{Buses: map[string]i2c.Bus{"b": d}}
	b := startBoard(t, served)
	c := dial(t, b, "b")
	if err := c.Tx(0x50, []byte{1, 7}, nil); err != nil {
		t.Fatal(err)
	}
	b.stop()
	for range 2 {
		var far *UnreachableError
		if err := c.Tx(0x50, []byte{1}, nil); !errors.As(err, &far) || bus.Kind(err) != bus.KindUnreachable {
			t.Fatalf("without a board: %v", err)
		}
	}
	b.start(served)
	r := make([]byte, 1)
	if err := c.Tx(0x50, []byte{1}, r); err != nil || r[0] != 7 {
		t.Fatalf("after the restart: % x, %v", r, err)
	}
}

func TestABusMayBeMadeBeforeItsBoardIsThere(t *testing.T) {
	b := &board{t: t, socket: filepath.Join(t.TempDir(), "board.sock"), stop: func() {}}
	c, err := New(b.socket, "b")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var far *UnreachableError
	if err := c.Tx(0x50, []byte{1}, nil); !errors.As(err, &far) {
		t.Fatalf("without a board: %v", err)
	}
	b.start(Board{Buses: map[string]i2c.Bus{"b": &memory{}}})
	defer func() { b.stop() }()
	if err := c.Tx(0x50, []byte{1}, nil); err != nil {
		t.Fatalf("with its board: %v", err)
	}
}

func TestCloseEndsATransactionInFlightAndLaterOnesAreRefused(t *testing.T) {
	d := &memory{busy: make(chan struct{}), gate: make(chan struct{})}
	b := startBoard(t, Board{Buses: map[string]i2c.Bus{"b": d}, Delivered: func(string, uint16, []byte, []byte) {
		t.Error("a transaction whose client left was reported as delivered")
	}})
	c := dial(t, b, "b")
	ended := make(chan error)
	go func() { ended <- c.Tx(0x50, []byte{1}, make([]byte, 1)) }()
	<-d.busy
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("in flight: %v", err)
	}
	if err := c.Tx(0x50, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	close(d.gate)
}

func TestOnlyATransactionThatReturnedItsBytesInFullIsDelivered(t *testing.T) {
	type call struct {
		bus  string
		addr uint16
		w, r string
	}
	calls := make(chan call, 10)
	d := &memory{}
	d.m[2] = 0xaa
	b := startBoard(t, Board{Buses: map[string]i2c.Bus{"b": d}, Delivered: func(name string, addr uint16, w, r []byte) {
		calls <- call{name, addr, hex.EncodeToString(w), hex.EncodeToString(r)}
	}})
	c := dial(t, b, "b")
	if err := c.Tx(0x51, []byte{2}, make([]byte, 1)); err == nil {
		t.Fatal("an absent device answered")
	}
	if err := c.Tx(0x50, []byte{2}, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := <-calls, (call{"b", 0x50, "02", "aa"}); got != want {
		t.Errorf("delivered %+v, want %+v", got, want)
	}
	// A second transaction answers only after the first one's hook has run.
	if err := c.Tx(0x50, nil, nil); err != nil {
		t.Fatal(err)
	}
	<-calls
	if len(calls) != 0 {
		t.Errorf("%d more calls, want none for the failed transaction", len(calls))
	}
}

// TestAProtocolErrorEndsTheConnectionAndNothingElse sends raw bytes.
func TestAProtocolErrorEndsTheConnectionAndNothingElse(t *testing.T) {
	b := startBoard(t, Board{Buses: map[string]i2c.Bus{"b": &memory{}}})
	open := appendOpen(nil, kindOpen, "b")
	for name, c := range map[string]struct{ in, want []byte }{
		"no open":       {appendTx(nil, 0x50, nil, 1), appendMessage(nil, kindOpened, []byte("want open first"))},
		"version":       {appendMessage(nil, kindOpen, []byte{2}, []byte("b")), appendMessage(nil, kindOpened, []byte("version 2 is not spoken here, only 1"))},
		"length 0":      {make([]byte, 4), nil},
		"length 2^32-1": {bytes.Repeat([]byte{0xff}, 4), nil},
		"second open":   {append(bytes.Clone(open), open...), appendMessage(nil, kindOpened)},
		"read of 65535": {appendMessage(bytes.Clone(open), kindTx, []byte{0, 0x50, 0xff, 0xff}), appendMessage(nil, kindOpened)},
		"short tx":      {appendMessage(bytes.Clone(open), kindTx, []byte{0}), appendMessage(nil, kindOpened)},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", b.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(c.in); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if err != nil && !strings.Contains(err.Error(), "reset") || !bytes.Equal(got, c.want) {
				t.Errorf("answer %q, %v; want %q and the end", got, err, c.want)
			}
		})
	}
	if err := dial(t, b, "b").Tx(0x50, nil, nil); err != nil {
		t.Errorf("the board is gone: %v", err)
	}
}

func TestAnAnswerThatDoesNotFitIsAnErrorOfTheConnection(t *testing.T) {
	for name, answer := range map[string][]byte{
		"too long":  appendMessage(nil, kindData, []byte{1, 2}),
		"too short": appendMessage(nil, kindData),
		"open":      appendOpen(nil, kindOpen, "b"),
		"huge":      {0xff, 0, 0, 0, 4},
		"cut":       {0, 0, 0, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Dial(t.Context(), answering(t, answer), "b")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var far *UnreachableError
			if err := c.Tx(0x50, nil, make([]byte, 1)); !errors.As(err, &far) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	b := startBoard(t, Board{Buses: map[string]i2c.Bus{"b": &memory{}}})
	for range maxConns {
		dial(t, b, "b")
	}
	if c, err := Dial(t.Context(), b.socket, "b"); err == nil {
		c.Close()
		t.Fatal("one connection more than the limit was served")
	}
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, Board{}, slog.New(slog.DiscardHandler)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v", err)
	}
}

func TestErrorTextIsBoundedAndPrintable(t *testing.T) {
	for in, want := range map[string]int{"short": 5, strings.Repeat("x", 2000): maxText, "\xff": 1} {
		err := parseAnswer(appendMessage(nil, kindFailed, []byte(in))[4:], nil)
		var far *BusError
		if !errors.As(err, &far) || len(far.Text) != want {
			t.Errorf("%.10q came back as %v", in, err)
		}
	}
}

// FuzzMessages: no message makes a parser panic, and what parses is what was
// appended.
func FuzzMessages(f *testing.F) {
	f.Add(appendOpen(nil, kindOpen, "sim-i2c-1"))
	f.Add(appendTx(nil, 0x48, []byte{0, 1}, 2))
	f.Add(appendOpen(nil, kindOpenLines, "sim-gpio-0"))
	f.Add(appendMessage(nil, kindData, []byte{1, 2}))
	f.Add(appendMessage(nil, kindFailed, []byte("remote I/O error")))
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, _, err := readMessage(bytes.NewReader(data), nil, nil)
		if err != nil {
			return
		}
		if len(msg) > MaxMessage {
			t.Fatalf("a message of %d bytes passed", len(msg))
		}
		whole := data[:4+len(msg)]
		if k, name, err := parseOpen(msg); err == nil && !bytes.Equal(appendOpen(nil, k, name), whole) {
			t.Fatalf("open %q is not %x", name, whole)
		}
		if addr, w, n, err := parseTx(msg); err == nil && !bytes.Equal(appendTx(nil, addr, w, n), whole) {
			t.Fatalf("tx %x %x %d is not %x", addr, w, n, whole)
		}
		r := make([]byte, 2)
		if err := parseAnswer(msg, r); err == nil && !bytes.Equal(r, msg[1:]) {
			t.Fatalf("answer % x is not % x", r, msg)
		}
		_ = parseOpened(msg)
	})
}

func BenchmarkTx(b *testing.B) {
	socket := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, Board{Buses: map[string]i2c.Bus{"b": &memory{}}}, slog.New(slog.DiscardHandler))
	}()
	c, err := Dial(ctx, socket, "b")
	if err != nil {
		b.Fatal(err)
	}
	w, r := []byte{0xf7}, make([]byte, 8)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Tx(0x50, w, r); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	cancel()
	if err := <-served; err != nil {
		b.Fatal(fmt.Errorf("serve: %w", err))
	}
}
