package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// echoTCP answers each connection with what it says, to its end.
func echoTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c) // a lost answer fails the test at its reader
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l
}

func dialledTCP(t *testing.T, r *Relay) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func TestTCPPassesBesideUDPToItsEnd(t *testing.T) {
	r := start(t, echoTCP(t).Addr().String())
	r.Set(func(c *Conditions) { *c = Conditions{BlockUDP: true, Drop: 50, Jitter: time.Second, Duplicate: 50} })
	c := dialledTCP(t, r)
	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB: many chunks
	go func() {
		_, err := c.Write(want)
		if err = errors.Join(err, c.CloseWrite()); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes came back, %v, want %d", len(got), err, len(want))
	}
	until(t, r, "an end", func(s State) bool { return s.TCPConnections == 0 })
	if s := r.State(); s.Up.TCPBytes != uint64(len(want)) || s.Down.TCPBytes != uint64(len(want)) || s.Up.Packets != 0 {
		t.Errorf("%+v", s)
	}
}

func TestACutHoldsAStreamsBytesBackUntilItIsHealed(t *testing.T) {
	r := start(t, echoTCP(t).Addr().String())
	c := dialledTCP(t, r)
	say := func(text string) {
		t.Helper()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Fatalf("%q, %v, want %q", got, err, text)
		}
	}
	say("one")
	hear("one")
	r.Set(func(c *Conditions) { c.CutDown = true })
	say("two")
	until(t, r, "two above", func(s State) bool { return s.Up.TCPBytes == 6 })
	r.Set(func(c *Conditions) { c.CutUp = true })
	say("three")
	r.Set(func(c *Conditions) { *c = Conditions{Delay: 20 * time.Millisecond} })
	begin := time.Now()
	hear("twothree")
	until(t, r, "eleven bytes each way", func(s State) bool { return s.Up.TCPBytes == 11 && s.Down.TCPBytes == 11 })
	say("four")
	hear("four")
	if took := time.Since(begin); took < 40*time.Millisecond {
		t.Errorf("the round trip took %v, want the delay twice", took)
	}
}

func TestARebindEndsTCPConnections(t *testing.T) {
	r := start(t, echoTCP(t).Addr().String())
	c := dialledTCP(t, r)
	until(t, r, "a connection", func(s State) bool { return s.TCPConnections == 1 })
	r.Set(func(*Conditions) { r.rebindLocked() })
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v, want an end", n, err)
	}
	until(t, r, "an end", func(s State) bool { return s.TCPConnections == 0 })
}

func TestAConnectionToNobodyEnds(t *testing.T) {
	gone := echoTCP(t)
	to := gone.Addr().String()
	gone.Close()
	r := start(t, to)
	c := dialledTCP(t, r)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("somebody answered")
	}
	until(t, r, "a drop", func(s State) bool { return s.Up.Dropped["unreachable"] == 1 && s.TCPConnections == 0 })
}

// I5: connections beyond the bound are refused and counted.
func TestTheTCPConnectionsAreBounded(t *testing.T) {
	r := start(t, echoTCP(t).Addr().String())
	r.Set(func(c *Conditions) { c.CutUp = true }) // they wait
	for i := range maxStreams {
		dialledTCP(t, r)
		until(t, r, "a connection", func(s State) bool { return s.TCPConnections == i+1 })
	}
	if _, err := dialledTCP(t, r).Read(make([]byte, 1)); err == nil {
		t.Error("one more was taken")
	}
	until(t, r, "a refusal", func(s State) bool { return s.Up.Dropped["clients"] == 1 })
}

// A slow line makes a stream's sender wait, and does not take what the line
// carries in a minute.
func TestARateSlowsAStreamDownAndItsSender(t *testing.T) {
	r := start(t, echoTCP(t).Addr().String())
	r.Set(func(c *Conditions) { c.Kbps = 800 }) // 100 kB a second
	c := dialledTCP(t, r)
	begin := time.Now()
	go func() { _, _ = c.Write(make([]byte, 8<<20)) }() // it waits until the test closes it
	if _, err := io.ReadFull(c, make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("50 kB came back after %v at 100 kB/s", took)
	}
	r.mu.Lock()
	busy := time.Until(r.shaper.free[Up])
	r.mu.Unlock()
	if busy > 2*lineAhead {
		t.Errorf("the line is taken for %v, want at most %v", busy, 2*lineAhead)
	}
}
