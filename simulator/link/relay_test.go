package link

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 5 * time.Second // for what must come

// echo answers each packet with itself.
func echo(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var buf [2048]byte
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf[:])
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(buf[:n], from) // a lost answer fails the test at its reader
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return c
}

func start(t *testing.T, to string) *Relay {
	t.Helper()
	r, err := Open(t.Context(), Config{Listen: "127.0.0.1:0", To: to, Seed: 1}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func dialled(t *testing.T, r *Relay) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *net.UDPConn, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c *net.UDPConn, want []byte) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil || !bytes.Equal(buf[:n], want) {
		t.Fatalf("received %d bytes %.40q, %v, want %d bytes %.40q", n, buf[:n], err, len(want), want)
	}
}

// until waits for the counters to say what must come to pass.
func until(t *testing.T, r *Relay, what string, ok func(State) bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok(r.State()) {
		select {
		case <-deadline:
			t.Fatalf("%s never came: %+v", what, r.State())
		case <-tick.C:
		}
	}
}

func TestPacketsReachTheTargetAndComeBackToTheirSender(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	a, b := dialled(t, r), dialled(t, r)
	send(t, a, []byte("from a"))
	send(t, b, []byte("from b"))
	expect(t, b, []byte("from b"))
	expect(t, a, []byte("from a"))
	large := bytes.Repeat([]byte("x"), maxPacket)
	send(t, a, large)
	expect(t, a, large)
	if s := r.State(); s.Clients != 2 || s.Up.Packets != 3 || s.Down.Packets != 3 || s.Up.Bytes != 12+maxPacket {
		t.Errorf("%+v", s)
	}
}

func TestACutLosesPacketsBothWaysUntilItIsHealed(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	c := dialled(t, r)
	r.Set(func(c *Conditions) { c.Delay = time.Minute })
	send(t, c, []byte("on its way"))
	until(t, r, "a packet on its way", func(s State) bool { return s.Queued == 1 })
	r.Set(func(c *Conditions) { *c = Conditions{CutUp: true, CutDown: true} })
	if s := r.State(); s.Queued != 0 || s.Up.Dropped["cut"] != 1 {
		t.Errorf("a packet survived the cut: %+v", s)
	}
	send(t, c, []byte("into the void"))
	until(t, r, "a drop", func(s State) bool { return s.Up.Dropped["cut"] == 2 })
	r.Set(func(c *Conditions) { c.CutUp, c.CutDown = false, false })
	send(t, c, []byte("healed"))
	expect(t, c, []byte("healed"))
}

func TestACutOfOneWayLetsTheOtherThrough(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	c := dialled(t, r)
	r.Set(func(c *Conditions) { c.Delay = time.Minute })
	send(t, c, []byte("on its way up"))
	until(t, r, "a packet on its way", func(s State) bool { return s.Queued == 1 })
	r.Set(func(c *Conditions) { *c = Conditions{CutDown: true} })
	if s := r.State(); s.Queued != 1 {
		t.Errorf("a cut downwards took what went up: %+v", s)
	}
	send(t, c, []byte("no answer"))
	until(t, r, "a lost answer", func(s State) bool {
		return s.Up.Packets == 1 && s.Up.Dropped["cut"] == 0 && s.Down.Dropped["cut"] == 1
	})
}

func TestBlockedUDPIsItsOwnReason(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	c := dialled(t, r)
	r.Set(func(c *Conditions) { c.BlockUDP = true })
	send(t, c, []byte("blocked"))
	until(t, r, "a drop", func(s State) bool { return s.Up.Dropped["blocked"] == 1 })
	r.Set(func(c *Conditions) { c.BlockUDP = false })
	send(t, c, []byte("passes"))
	expect(t, c, []byte("passes"))
}

func TestPacketsAreDoubledOnTheirWay(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	c := dialled(t, r)
	r.Set(func(c *Conditions) { c.Duplicate = 100 })
	send(t, c, []byte("x"))
	for range 4 { // twice up, and each of them twice down
		expect(t, c, []byte("x"))
	}
	until(t, r, "copies", func(s State) bool { return s.Up.Duplicated == 1 && s.Down.Duplicated == 2 })
}

// The target sees a client from another port, as behind a NAT that restarted,
// and its answers go there.
func TestARebindChangesThePortThatTheTargetSees(t *testing.T) {
	target, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	r := start(t, target.LocalAddr().String())
	c := dialled(t, r)
	from := func() *net.UDPAddr {
		t.Helper()
		send(t, c, []byte("who am I"))
		if err := target.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, from, err := target.ReadFromUDP(make([]byte, 64))
		if err != nil {
			t.Fatal(err)
		}
		return from
	}
	before := from()
	r.Set(func(*Conditions) { r.rebindLocked() })
	after := from()
	if before.Port == after.Port || r.State().Clients != 1 {
		t.Errorf("seen from %v, then from %v; %+v", before, after, r.State())
	}
	if _, err := target.WriteToUDP([]byte("you"), after); err != nil {
		t.Fatal(err)
	}
	expect(t, c, []byte("you"))
}

func TestDelayHoldsPacketsBackEachWay(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	c := dialled(t, r)
	const delay = 40 * time.Millisecond
	r.Set(func(c *Conditions) { c.Delay = delay })
	begin := time.Now()
	for i := range 10 {
		send(t, c, []byte{byte(i)})
	}
	for i := range 10 {
		expect(t, c, []byte{byte(i)}) // without jitter the order is kept
	}
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("the round trip took %v, want at least %v", took, 2*delay)
	}
}

func TestWhatCannotPassIsCountedByReason(t *testing.T) {
	gone := echo(t)
	to := gone.LocalAddr().String()
	r := start(t, to)
	c := dialled(t, r)
	send(t, c, make([]byte, maxPacket+1))
	until(t, r, "a drop by size", func(s State) bool { return s.Up.Dropped["size"] == 1 })
	r.Set(func(c *Conditions) { c.Drop = 100 })
	send(t, c, []byte("lost"))
	until(t, r, "a random loss", func(s State) bool { return s.Up.Dropped["loss"] == 1 })
	r.Set(func(c *Conditions) { *c = Conditions{} })
	gone.Close()
	send(t, c, []byte("nobody there"))
	until(t, r, "an unreachable target", func(s State) bool { return s.Up.Dropped["unreachable"] >= 1 })

	// The target comes back on its port: the same client goes on.
	back, err := net.ListenPacket("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	send(t, c, []byte("hello again"))
	if err := back.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, _, err := back.ReadFrom(buf); err != nil || string(buf[:n]) != "hello again" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestTheClientTableIsBounded(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	for i := range maxClients {
		send(t, dialled(t, r), []byte{1})
		until(t, r, "a client", func(s State) bool { return s.Clients == i+1 })
	}
	send(t, dialled(t, r), []byte{1})
	until(t, r, "a refusal", func(s State) bool { return s.Up.Dropped["clients"] == 1 && s.Clients == maxClients })
}

func TestAnIdleClientIsForgotten(t *testing.T) {
	r := start(t, echo(t).LocalAddr().String())
	a := dialled(t, r)
	send(t, a, []byte("x"))
	expect(t, a, []byte("x"))
	var one *net.UDPConn
	r.mu.Lock()
	for _, c := range r.clients {
		c.seen = time.Now().Add(-idle)
		one = c.up.Load()
	}
	r.mu.Unlock()
	if err := one.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	until(t, r, "an empty table", func(s State) bool { return s.Clients == 0 })
	send(t, a, []byte("y")) // and comes back as a new one
	expect(t, a, []byte("y"))
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	taken := echo(t).LocalAddr().String()
	for _, cfg := range []Config{
		{Listen: taken, To: "127.0.0.1:9"},
		{Listen: "127.0.0.1:0", To: "127.0.0.1"},
		{Listen: "127.0.0.1:0", To: ":0"},
		{Listen: "127.0.0.1:none", To: "127.0.0.1:9"},
	} {
		r, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
		if err == nil {
			r.Close()
			t.Errorf("%+v was opened", cfg)
		}
	}
	_, err := Open(t.Context(), Config{Listen: taken, To: "127.0.0.1:9"}, slog.New(slog.DiscardHandler), nil)
	if err == nil || !strings.Contains(err.Error(), taken+": bind: address already in use") {
		t.Errorf("a port in use: %v", err)
	}
}

func TestReasonsAndDirectionsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := Passed; r < reasons; r++ {
		seen[r.String()] = true
	}
	if len(seen) != int(reasons) || fmt.Sprint(Up, Down) != "up down" {
		t.Errorf("%v, %v, %v", seen, Up, Down)
	}
}
