// Package lan gives programs machines of their own in the network, on this one:
// network namespaces (ip-netns(8)), joined by a bridge on which this machine is,
// too. Packets between two of them can be dropped, each way by itself (nft(8)).
// It runs no programs and delays nothing. Only root can make such a network.
//
//	this machine 10.213.N.254 -- bridge --+-- veth -- host 1: 10.213.N.1
//	                                      +-- veth -- host 2: 10.213.N.2
//
// What a network has outside its process are namespaces and interfaces whose
// names begin with that process's id. Close removes them; those that a killed
// process left, the next New does.
package lan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// mark begins the names of what is made. With a process's id and a host's
	// number it fits an interface's fifteen bytes.
	mark = "at"
	// namespaces is where ip-netns(8) keeps them.
	namespaces = "/run/netns"
	// MaxHosts bounds the hosts of a network.
	MaxHosts = 16
	// commandTime bounds a command that changes a network: they take milliseconds.
	commandTime = 20 * time.Second
)

// LAN is a network. Its methods are of one goroutine, but for those of its hosts.
type LAN struct {
	prefix string
	subnet string // the first three numbers of its addresses
	hosts  []*Host
	drops  map[[2]*Host]bool // packets from the first to the second
	loss   int
}

// Host is a machine of a network.
type Host struct {
	lan       *LAN
	number    int
	namespace string
	forwards  []*forward
}

// Check returns nil if this machine can have such a network.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("this is not root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	l, err := New()
	if err != nil {
		return err
	}
	_, err = l.Add()
	if err == nil {
		err = l.Lose(1)
	}
	return errors.Join(err, l.Close())
}

// New makes a network without hosts.
func New() (*LAN, error) {
	sweep()
	l := &LAN{
		prefix: mark + strconv.Itoa(os.Getpid()) + "x", drops: map[[2]*Host]bool{},
		subnet: fmt.Sprintf("10.213.%d.", os.Getpid()%256),
	}
	if err := run(
		"ip link add "+l.bridge()+" type bridge",
		"ip addr add "+l.Here()+"/24 dev "+l.bridge(),
		"ip link set "+l.bridge()+" up"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *LAN) bridge() string { return l.prefix + "b" }

// Here is this machine's address in the network.
func (l *LAN) Here() string { return l.subnet + "254" }

// IP is the address of the i-th host, from 0, whether it is there or not.
func (l *LAN) IP(i int) string { return l.subnet + strconv.Itoa(i+1) }

// Add makes the next host.
func (l *LAN) Add() (*Host, error) {
	h := &Host{lan: l, number: len(l.hosts)}
	if h.number == MaxHosts {
		return nil, fmt.Errorf("lan: more than %d hosts", MaxHosts)
	}
	h.namespace = l.prefix + strconv.Itoa(h.number+1)
	l.hosts = append(l.hosts, h) // also one that was made by half is removed
	in := "ip -n " + h.namespace + " "
	return h, run(
		"ip netns add "+h.namespace,
		"ip link add "+h.namespace+" type veth peer name eth0 netns "+h.namespace,
		"ip link set "+h.namespace+" master "+l.bridge()+" up",
		in+"addr add "+h.IP()+"/24 dev eth0",
		in+"link set eth0 up",
		in+"link set lo up")
}

// IP is the host's address.
func (h *Host) IP() string { return h.lan.IP(h.number) }

// Exec is what a program's command line begins with that is to run on the host.
// It becomes the program, which keeps its process id.
func (h *Host) Exec() []string { return []string{"ip", "netns", "exec", h.namespace} }

// Drop has packets from one host to others vanish.
func (l *LAN) Drop(from *Host, to ...*Host) error {
	for _, h := range to {
		l.drops[[2]*Host{from, h}] = true
	}
	return l.enforce()
}

// Isolate has all packets between one host and the other ones vanish. This
// machine still reaches it.
func (l *LAN) Isolate(h *Host) error {
	for _, other := range l.hosts {
		if other != h {
			l.drops[[2]*Host{h, other}], l.drops[[2]*Host{other, h}] = true, true
		}
	}
	return l.enforce()
}

// Lose has so many of a hundred packets that come to any host from another one
// vanish: 0 to 99.
func (l *LAN) Lose(percent int) error {
	l.loss = percent
	return l.enforce()
}

// Heal lets all packets pass.
func (l *LAN) Heal() error {
	clear(l.drops)
	l.loss = 0
	return l.enforce()
}

// enforce gives each host its rules, in one transaction a host.
func (l *LAN) enforce() error {
	for _, h := range l.hosts {
		if err := feed(l.rules(h), "ip netns exec "+h.namespace+" nft -f -"); err != nil {
			return err
		}
	}
	return nil
}

// rules are what a host does with packets that come to it.
func (l *LAN) rules(h *Host) string {
	var b strings.Builder
	b.WriteString("table ip lan {}\ndelete table ip lan\ntable ip lan {\nchain in { type filter hook input priority 0;\n")
	for _, other := range l.hosts {
		switch {
		case other == h:
		case l.drops[[2]*Host{other, h}]:
			fmt.Fprintf(&b, "ip saddr %s drop\n", other.IP())
		case l.loss > 0:
			fmt.Fprintf(&b, "ip saddr %s numgen random mod 100 < %d drop\n", other.IP(), l.loss)
		}
	}
	b.WriteString("}\n}\n")
	return b.String()
}

// Close removes the network. Programs on its hosts should have ended.
func (l *LAN) Close() error {
	var err error
	for _, h := range l.hosts {
		for _, f := range h.forwards {
			f.close()
		}
		err = errors.Join(err, run("ip netns delete "+h.namespace)) // its interface goes along
	}
	l.hosts = nil
	if gone := run("ip link delete " + l.bridge()); gone != nil {
		err = errors.Join(err, gone)
	}
	return err
}

// sweep removes what killed processes left. What cannot be removed is in nobody's
// way.
func sweep() {
	for _, at := range []struct{ folder, remove string }{{namespaces, "ip netns delete "}, {"/sys/class/net", "ip link delete "}} {
		all, err := filepath.Glob(filepath.Join(at.folder, mark+"*x*"))
		if err != nil {
			continue
		}
		for _, path := range all {
			name := filepath.Base(path)
			pid, _, _ := strings.Cut(strings.TrimPrefix(name, mark), "x")
			n, err := strconv.Atoi(pid)
			if err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
				run(at.remove + name) //nolint:errcheck // as above
			}
		}
	}
}

// run runs commands, without blanks in their words, until one fails.
func run(commands ...string) error {
	for _, c := range commands {
		if err := feed("", c); err != nil {
			return err
		}
	}
	return nil
}

func feed(stdin, command string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	words := strings.Fields(command)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lan: %s: %w\n%s", command, err, bytes.TrimSpace(out))
	}
	return nil
}

// open opens a host's namespace.
func (h *Host) open() (*os.File, error) {
	f, err := os.Open(filepath.Join(namespaces, h.namespace))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("lan: host %d is gone: %w", h.number+1, err)
	}
	return f, err
}
