package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/wire"
)

// dial makes a connection to HOST:PORT. round selects among the addresses of a
// host that has several.
func (u *Uplink) dial(ctx context.Context, over network, addr string, round int) (carrier.Conn, error) {
	u.metrics.dials.WithLabelValues(over.String()).Inc()
	ctx, cancel := context.WithTimeout(ctx, 2*handshakeTimeout)
	defer cancel()
	host, at, err := resolve(ctx, addr, round)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	conf := u.cfg.TLS.Clone()
	conf.NextProtos = []string{wire.ALPN}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	var conn carrier.Conn
	if over == udp {
		conn, err = u.dialUDP(ctx, at, conf)
	} else {
		conn, err = u.dialTCP(ctx, at, conf)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s over %s: %w", addr, over, err)
	}
	return conn, nil
}

func (u *Uplink) dialUDP(ctx context.Context, at netip.AddrPort, conf *tls.Config) (carrier.Conn, error) {
	conn, err := u.transport.Dial(ctx, net.UDPAddrFromAddrPort(at), conf, &quic.Config{
		HandshakeIdleTimeout:  handshakeTimeout,
		MaxIdleTimeout:        idleTimeout,
		KeepAlivePeriod:       keepAlive,
		MaxIncomingStreams:    -1, // a gate opens none
		MaxIncomingUniStreams: -1,
		// Acks and commands come this way, and little else.
		InitialStreamReceiveWindow:     wire.MaxControl,
		MaxStreamReceiveWindow:         wire.MaxControl,
		InitialConnectionReceiveWindow: wire.MaxControl,
		MaxConnectionReceiveWindow:     wire.MaxControl,
	})
	var silence *quic.IdleTimeoutError // QUIC's word for a handshake without any answer, too
	if errors.As(err, &silence) {
		return nil, errUnreachable
	}
	if err != nil {
		return nil, err
	}
	return carrier.OverQUIC(conn), nil
}

func (u *Uplink) dialTCP(ctx context.Context, at netip.AddrPort, conf *tls.Config) (carrier.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	raw, err := u.cfg.DialTCP(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return carrier.DialTCP(ctx, raw, conf, carrier.TCPConfig{KeepAlive: keepAlive, Idle: idleTimeout})
}

// dialSystem dials TCP as the system does. The carrier has its own keep-alive.
func dialSystem(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", at.String())
}

// resolve turns HOST:PORT into an address; round selects among a host's.
func resolve(ctx context.Context, addr string, round int) (host string, at netip.AddrPort, err error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return "", at, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", at, fmt.Errorf("port %q: want 0 to 65535", service)
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return "", at, err
	}
	return host, netip.AddrPortFrom(ips[round%len(ips)].Unmap(), uint16(port)), nil
}
