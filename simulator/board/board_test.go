package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/simulator/chip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const yaml = `
rooms: {lobby: {}}
buses:
  - name: sim-i2c-1
    chips:
      - {type: tmp102, address: 0x48, room: lobby}
      - {type: counter, address: 0x20, device: hq/c1}
      - {type: counter, address: 0x21, device: hq/c2}
`

func parsed(t *testing.T) *Config {
	t.Helper()
	c, err := ParseConfig("board.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs a board until stop, which returns what Run returned.
func start(t *testing.T, o Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- Run(ctx, parsed(t), o, func() { close(ready) }, slog.New(slog.DiscardHandler)) }()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("the board did not start: %v", err)
	}
	return func() error { cancel(); return <-done }
}

func dial(t *testing.T, socket string) i2c.BusCloser {
	t.Helper()
	b, err := remote.Dial(t.Context(), socket, "sim-i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// count triggers a conversion and reads its number as a host does.
func count(t *testing.T, b i2c.Bus, addr uint16) [4]byte {
	t.Helper()
	if err := b.Tx(addr, []byte{chip.CounterStart}, nil); err != nil {
		t.Fatal(err)
	}
	status := []byte{0xff}
	for status[0] != 0 {
		if err := b.Tx(addr, []byte{chip.CounterStatus}, status); err != nil {
			t.Fatal(err)
		}
	}
	var n [4]byte
	if err := b.Tx(addr, []byte{chip.CounterNumber}, n[:]); err != nil {
		t.Fatal(err)
	}
	return n
}

func expectFile(t *testing.T, path string, lines ...string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(lines, "\n") + "\n"; string(got) != want {
		t.Errorf("%s holds\n%swant\n%s", filepath.Base(path), got, want)
	}
}

// The truth is what I1 is checked against: it must hold the numbers that hosts
// were given, each time that they were, and nothing else.
func TestTheTruthHoldsTheNumbersThatWereDelivered(t *testing.T) {
	dir := t.TempDir()
	o := Options{Socket: filepath.Join(dir, "board.sock"), Truth: filepath.Join(dir, "truth.jsonl")}
	stop := start(t, o)
	b := dial(t, o.Socket)
	count(t, b, 0x20)
	count(t, b, 0x21)
	var r [8]byte
	for _, tx := range []struct {
		addr uint16
		w    []byte
		n    int
	}{
		{0x20, []byte{chip.CounterNumber}, 4}, // a second delivery is a second line
		{0x20, []byte{chip.CounterNumber}, 3}, // not the whole number
		{0x20, []byte{chip.CounterNumber, 0}, 4},
		{0x20, []byte{chip.CounterStatus}, 4},
		{0x48, []byte{chip.CounterNumber}, 4},
	} {
		if err := b.Tx(tx.addr, tx.w, r[:tx.n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Tx(0x22, []byte{chip.CounterNumber}, r[:4]); err == nil || !strings.Contains(err.Error(), "remote I/O error") {
		t.Errorf("an absent chip: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	before := []string{`{"device":"hq/c1","n":1}`, `{"device":"hq/c2","n":1}`, `{"device":"hq/c1","n":1}`}
	expectFile(t, o.Truth, before...)

	// A board that starts again on its truth never repeats a number.
	stop = start(t, o)
	if n := count(t, dial(t, o.Socket), 0x20); n != [4]byte{0, 0, 0, 2} {
		t.Errorf("after a restart the counter reads % x, want 2", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	expectFile(t, o.Truth, append(before, `{"device":"hq/c1","n":2}`)...)
}

func TestASecondBoardOnASocketGetsAClearError(t *testing.T) {
	dir := t.TempDir()
	o := Options{Socket: filepath.Join(dir, "board.sock")}
	stop := start(t, o)
	err := Run(t.Context(), parsed(t), o, func() { t.Error("a second board serves") }, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), o.Socket+": another board serves it") {
		t.Errorf("the second board: %v", err)
	}
	count(t, dial(t, o.Socket), 0x20) // the first is unharmed
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(o.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a clean stop left the socket: %v", err)
	}
}

func TestAStaleSocketIsReplacedOnlyIfNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	o := Options{Socket: filepath.Join(dir, "board.sock")}
	other, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	run := func() error {
		return Run(t.Context(), parsed(t), o, func() { t.Error("it serves") }, slog.New(slog.DiscardHandler))
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "another program serves it") {
		t.Errorf("beside a program that answers: %v", err)
	}
	other.SetUnlinkOnClose(false)
	other.Close() // as a killed board leaves it
	stop := start(t, o)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "a file of another kind is in its place") {
		t.Errorf("over a file: %v", err)
	}
	expectError := func(o Options, want string) {
		t.Helper()
		err := Run(t.Context(), parsed(t), o, func() { t.Error("it serves") }, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	expectError(Options{Socket: filepath.Join(dir, strings.Repeat("x", 108))}, "its name has 108 bytes")
	expectError(Options{Socket: filepath.Join(dir, "none", "s")}, "no such file or directory")
}

func TestAFileThatIsNoTruthIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "truth")
	for text, want := range map[string]string{
		"{\"device\":\"hq/c1\",\"n\":1}\nhello\n": path + ":2: want a line",
		`{"device":"hq/c1","n":1}`:                path + ":1: want a line",
		"{\"device\":\"hq\",\"n\":1}\n":           "one slash",
		strings.Repeat("x", 1000):                 path + ":1: want a line",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openTruth(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%.40q was changed", text)
		}
	}
	if _, _, err := openTruth("/dev/null"); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Errorf("a device: %v", err)
	}
}

// A board that cannot write its truth must not go on counting.
func TestABoardEndsWhenItsTruthCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	b, err := New(parsed(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	hook := b.recorder(&truth{file: full}, fail)
	hook("sim-i2c-1", 0x48, []byte{chip.CounterNumber}, make([]byte, 4))
	if ctx.Err() != nil {
		t.Fatal("a sensor's transaction wrote to the truth")
	}
	hook("sim-i2c-1", 0x20, []byte{chip.CounterNumber}, make([]byte, 4))
	if !errors.Is(context.Cause(ctx), syscall.ENOSPC) {
		t.Errorf("cause: %v", context.Cause(ctx))
	}
}

func TestTheSensorsOfOneRoomAgree(t *testing.T) {
	synctest.Test(t, sensorsAgree)
}

func sensorsAgree(t *testing.T) {
	c, err := ParseConfig("b", []byte(`
seed: 3
rooms: {lobby: {temperature: 20}}
buses:
  - name: a
    chips: [{type: tmp102, address: 0x48, room: lobby}, {type: bme280, address: 0x76, room: lobby}]
  - name: b
    chips: [{type: tmp102, address: 0x4b, room: lobby}, {type: bme280, address: 0x76, room: lobby}]
`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond) // the first conversions end
	read := func(bus string, addr uint16, w []byte, n int) string {
		r := make([]byte, n)
		if err := b.Buses()[bus].Tx(addr, w, r); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("% x", r)
	}
	if x, y := read("a", 0x48, []byte{0}, 2), read("b", 0x4b, []byte{0}, 2); x != y || x == "00 00" {
		t.Errorf("two thermometers of a room read %s and %s", x, y)
	}
	if x, y := read("a", 0x76, []byte{0x88}, 24), read("b", 0x76, []byte{0x88}, 24); x == y {
		t.Errorf("two parts have one trimming: %s", x)
	}
}
