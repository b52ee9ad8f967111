package lan

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRulesDropWhatComesFromAnotherHost(t *testing.T) {
	l := &LAN{subnet: "10.213.9.", drops: map[[2]*Host]bool{}}
	for i := range 3 {
		l.hosts = append(l.hosts, &Host{lan: l, number: i})
	}
	l.drops[[2]*Host{l.hosts[0], l.hosts[1]}] = true
	l.loss = 10
	for i, want := range []string{
		"ip saddr 10.213.9.2 numgen random mod 100 < 10 drop\nip saddr 10.213.9.3 numgen random mod 100 < 10 drop\n",
		"ip saddr 10.213.9.1 drop\nip saddr 10.213.9.3 numgen random mod 100 < 10 drop\n",
		"ip saddr 10.213.9.1 numgen random mod 100 < 10 drop\nip saddr 10.213.9.2 numgen random mod 100 < 10 drop\n",
	} {
		if rules := l.rules(l.hosts[i]); !strings.Contains(rules, "priority 0;\n"+want+"}") {
			t.Errorf("host %d:\n%s", i+1, rules)
		}
	}
}

// made is a network of two hosts, if this machine can have one.
func made(t *testing.T) (*LAN, *Host, *Host) {
	t.Helper()
	if err := Check(); err != nil {
		t.Skip(err)
	}
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		left, _ := filepath.Glob(filepath.Join(namespaces, l.prefix+"*"))
		if len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	})
	a, err := l.Add()
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Add()
	if err != nil {
		t.Fatal(err)
	}
	return l, a, b
}

// listens answers each connection to an address of a host with its name.
func listens(t *testing.T, h *Host, address, name string) {
	t.Helper()
	namespace, err := h.open()
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	var l net.Listener
	if entered := within(namespace, func() { l, err = net.Listen("tcp4", address) }); entered != nil || err != nil {
		t.Fatal(entered, err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte(name)) //nolint:errcheck // whoever asks sees
			c.Close()
		}
	}()
}

// reaches says whether a datagram from a host comes to another within a moment.
func reaches(t *testing.T, from, to *Host) bool {
	t.Helper()
	var conns []net.PacketConn
	for _, h := range []*Host{from, to} {
		namespace, err := h.open()
		if err != nil {
			t.Fatal(err)
		}
		defer namespace.Close()
		var c net.PacketConn
		if entered := within(namespace, func() { c, err = net.ListenPacket("udp4", h.IP()+":0") }); entered != nil || err != nil {
			t.Fatal(entered, err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	if _, err := conns[0].WriteTo([]byte("here"), conns[1].LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if err := conns[1].SetReadDeadline(time.Now().Add(time.Second / 2)); err != nil {
		t.Fatal(err)
	}
	_, _, err := conns[1].ReadFrom(make([]byte, 8))
	return err == nil
}

func TestEachWayBetweenHostsIsCutByItself(t *testing.T) {
	l, a, b := made(t)
	for _, step := range []struct {
		what   string
		do     func() error
		ab, ba bool
	}{
		{"at first", func() error { return nil }, true, true},
		{"a is not heard", func() error { return l.Drop(a, b) }, false, true},
		{"a is alone", func() error { return l.Isolate(a) }, false, false},
		{"healed", l.Heal, true, true},
		{"a is not heard among what is lost", func() error { return errors.Join(l.Lose(0), l.Drop(a, b)) }, false, true},
		{"healed again", l.Heal, true, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if ab, ba := reaches(t, a, b), reaches(t, b, a); ab != step.ab || ba != step.ba {
			t.Errorf("%s: %v and %v", step.what, ab, ba)
		}
	}
}

func TestAHostsLoopbackIsReachedThroughTheCut(t *testing.T) {
	l, a, b := made(t)
	const at = "127.0.0.1:20987"
	listens(t, b, at, "b")
	if err := b.Forward(at); err != nil {
		t.Fatal(err)
	}
	if err := a.Forward(at); err == nil {
		t.Error("two hosts got one address of this machine")
	}
	if err := l.Isolate(b); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 8)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "b" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	const left = mark + "4194303x1" // the highest process id (proc(5), pid_max), which nobody has
	if err := run("ip netns add " + left); err != nil {
		t.Fatal(err)
	}
	sweep()
	if _, err := os.Stat(filepath.Join(namespaces, left)); err == nil {
		t.Error("it is still there")
	}
}
