package lan

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds a connection within one machine.
const dialTimeout = 5 * time.Second

// Forward has connections to a loopback address of this machine reach the same
// one of the host: a program that only listens on its own loopback is asked as
// from a terminal on its machine, whatever happens to its network.
func (h *Host) Forward(address string) error {
	namespace, err := h.open()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return errors.Join(fmt.Errorf("lan: %w", err), namespace.Close())
	}
	f := &forward{to: address, namespace: namespace, listener: l, open: map[net.Conn]bool{}}
	h.forwards = append(h.forwards, f)
	f.all.Go(f.accept)
	return nil
}

type forward struct {
	to        string
	namespace *os.File
	listener  net.Listener
	all       sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (f *forward) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return // it was closed
		}
		f.all.Go(func() { f.pass(c) })
	}
}

// pass copies both ways until either end closes. Without anybody at the other
// end the connection is reset, as one that was refused.
func (f *forward) pass(near net.Conn) {
	far, err := dialWithin(f.namespace, f.to)
	if err != nil {
		near.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it is closed all the same
		near.Close()
		return
	}
	if !f.keep(near, far) {
		return
	}
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		ways.Go(func() {
			io.Copy(way[0], way[1]) //nolint:errcheck // either end may go at any time
			near.Close()
			far.Close()
		})
	}
	ways.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, near)
	delete(f.open, far)
}

// keep notes connections, to be closed at the end, unless that has come.
func (f *forward) keep(some ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range some {
		if f.closed {
			c.Close()
			continue
		}
		f.open[c] = true
	}
	return !f.closed
}

func (f *forward) close() {
	f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.all.Wait()
	f.namespace.Close()
}

func dialWithin(namespace *os.File, address string) (c net.Conn, err error) {
	entered := within(namespace, func() { c, err = net.DialTimeout("tcp4", address, dialTimeout) })
	return c, errors.Join(entered, err)
}

// within does something in a namespace: a socket belongs to that in which its
// thread was when it was made (setns(2)). A thread that cannot come back ends
// with its goroutine.
func within(namespace *os.File, do func()) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, failed := os.Open("/proc/thread-self/ns/net")
		if err = failed; err != nil {
			return
		}
		defer home.Close()
		if err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		do()
		if err = unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
	return err
}
