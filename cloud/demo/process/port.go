package process

import (
	"errors"
	"fmt"
	"io"
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
