package process

import (
	"fmt"
	"net"
)

// FreePorts returns n addresses on loopback that nobody listens on, of "tcp" or
// "udp". They may be taken before they are used; a program that finds one so
// says so.
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
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		return c.LocalAddr().String(), c.Close()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
