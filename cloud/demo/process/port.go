package process

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
)

// portTries is how often a port that is free for UDP may be taken for TCP.
const portTries = 16

// FreePorts returns different addresses on loopback that nobody listens on: both
// of UDP and TCP, which gates and links take, and tcp of TCP alone. Ask once for
// all that is started together: of two calls the second may return what the
// first did. They may be taken before they are used; a program that finds one so
// says so.
func FreePorts(both, tcp int) (ofBoth, ofTCP []string, err error) {
	var held []io.Closer
	defer func() {
		for _, c := range held {
			err = errors.Join(err, c.Close())
		}
	}()
	for range both {
		at, c, err := freeBoth()
		if err != nil {
			return nil, nil, fmt.Errorf("process: free port: %w", err)
		}
		held, ofBoth = append(held, c...), append(ofBoth, at)
	}
	for range tcp {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, nil, fmt.Errorf("process: free port: %w", err)
		}
		held, ofTCP = append(held, l), append(ofTCP, l.Addr().String())
	}
	return ofBoth, ofTCP, nil
}

// freeBoth holds a port for both.
func freeBoth() (at string, held []io.Closer, err error) {
	for range portTries {
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			return "", nil, err
		}
		at = udp.LocalAddr().String()
		var l net.Listener
		if l, err = net.Listen("tcp4", at); err == nil {
			return at, []io.Closer{udp, l}, nil
		}
		udp.Close() // nothing was sent
	}
	return "", nil, err
}

const (
	// lastingFirst and lastingEnd are ports below those that Linux gives to
	// connections (ip_local_port_range begins at 32768), from which FreePorts
	// draws, too.
	lastingFirst = 20_000
	lastingEnd   = 32_000
)

// LastingPorts returns different addresses on loopback that nobody listens on,
// of UDP and TCP, for programs that are ended and started again: no connection
// takes such a port while its program is down.
func LastingPorts(n int) (all []string, err error) {
	const span = lastingEnd - lastingFirst
	from := rand.IntN(span)
	for i := 0; i < span && len(all) < n; i++ {
		at := fmt.Sprintf("127.0.0.1:%d", lastingFirst+(from+i)%span)
		udp, err := net.ListenPacket("udp4", at)
		if err != nil {
			continue
		}
		tcp, err := net.Listen("tcp4", at)
		udp.Close() // nothing was sent
		if err != nil {
			continue
		}
		tcp.Close()
		all = append(all, at)
	}
	if len(all) < n {
		return nil, fmt.Errorf("process: only %d of %d ports from %d to %d are free", len(all), n, lastingFirst, lastingEnd-1)
	}
	return all, nil
}
