package process

import (
	"fmt"
	"net"
)

// portTries is how often a port that is free for UDP may be taken for TCP.
const portTries = 16

// FreePorts returns n addresses on loopback that nobody listens on, of "tcp", or
// of "udp" and TCP: gates and links take both. They may be taken before they are
// used; a program that finds one so says so.
func FreePorts(network string, n int) ([]string, error) {
	ports := make([]string, 0, n)
	for range n {
		p, err := freePort(network)
		if err != nil {
			return nil, fmt.Errorf("process: free %s port: %w", network, err)
		}
		ports = append(ports, p)
	}
	return ports, nil
}

func freePort(network string) (string, error) {
	if network != "udp" {
		return freeTCP("127.0.0.1:0")
	}
	var at string
	var err error
	for range portTries {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			return "", err
		}
		at, err = freeTCP(c.LocalAddr().String())
		c.Close() // nothing was sent
		if err == nil {
			return at, nil
		}
	}
	return "", err
}

func freeTCP(addr string) (string, error) {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
