package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// disableGSO is the variable with which people tell quic-go to leave GSO.
const disableGSO = "QUIC_GO_DISABLE_GSO"

// Socket is the gateway's UDP socket: one on all addresses for the process's
// life, so that a path that comes back, and an address that changes, find the
// same port.
//
// quic-go sends many packets in one call where the kernel knows generic
// segmentation offload (GSO). Some kernels take the option and then refuse the
// packets: with EIO if the driver cannot do it, with EINVAL by a fault, which
// ends the connection (quic-go #3911). The socket sends what was refused packet
// by packet, and all that follows, so that nothing is lost.
type Socket struct {
	*net.UDPConn
	write   func(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) // UDPConn's
	off     atomic.Bool
	log     *slog.Logger
	gso     prometheus.Gauge
	refused prometheus.Counter
}

// Listen binds a socket, and tries GSO on it.
func Listen(ctx context.Context, log *slog.Logger, reg prometheus.Registerer) (*Socket, error) {
	pc, err := new(net.ListenConfig).ListenPacket(ctx, "udp", ":0")
	if err != nil {
		return nil, fmt.Errorf("uplink: socket: %w", err)
	}
	s := newSocket(pc.(*net.UDPConn), log, reg)
	if off, err := strconv.ParseBool(os.Getenv(disableGSO)); err == nil && off {
		s.gso.Set(0)
		return s, nil
	}
	if err := selfTest(s.write); err != nil {
		s.leave(err)
	}
	return s, nil
}

func newSocket(conn *net.UDPConn, log *slog.Logger, reg prometheus.Registerer) *Socket {
	s := &Socket{
		UDPConn: conn, write: conn.WriteMsgUDP, log: log,
		gso: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_gso", Help: "1 while packets leave many at a time (generic segmentation offload).",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_uplink_gso_refused_total", Help: "Writes with segmentation offload that the kernel refused; their packets were sent one by one.",
		}),
	}
	s.gso.Set(1)
	if reg != nil {
		reg.MustRegister(s.gso, s.refused)
	}
	return s
}

// WriteMsgUDP is net.UDPConn's, and takes packets apart if the kernel does not.
func (s *Socket) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	size, rest := segments(oob)
	if size == 0 {
		return s.write(b, oob, to)
	}
	if !s.off.Load() {
		n, oobn, err = s.write(b, oob, to)
		if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EIO) {
			return n, oobn, err
		}
		s.leave(err)
	}
	for n < len(b) {
		packet := b[n:min(n+size, len(b))]
		if _, _, err := s.write(packet, rest, to); err != nil {
			return n, 0, err
		}
		n += len(packet)
	}
	return n, len(oob), nil
}

// leave goes on without GSO.
func (s *Socket) leave(err error) {
	s.refused.Inc()
	if !s.off.Swap(true) {
		s.gso.Set(0)
		s.log.Warn("the kernel refuses segmentation offload; packets are sent one by one", "error", err)
	}
}

// errNotSegmented: the kernel took GSO and sent something else.
var errNotSegmented = errors.New("a packet of two segments did not come as two")

// selfTest sends two segments in one call over loopback and looks whether two
// packets come.
func selfTest(write func(b, oob []byte, to *net.UDPAddr) (int, int, error)) error {
	peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil //nolint:nilerr // without IPv4 on loopback there is nothing to try it on
	}
	defer peer.Close()
	const size = 100
	if _, _, err := write(make([]byte, 2*size), segmentsOf(size), peer.LocalAddr().(*net.UDPAddr)); err != nil {
		return err
	}
	if err := peer.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	b := make([]byte, 4*size)
	for range 2 {
		if n, err := peer.Read(b); err != nil || n != size {
			return errNotSegmented
		}
	}
	return nil
}
