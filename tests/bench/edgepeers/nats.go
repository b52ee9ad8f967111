package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/atrium-iot/atrium/cloud/demo/process"
)

// natsWindow is how many batches may wait for JetStream's ack: some megabytes.
const natsWindow = 16

// domain names the hub's JetStream to clients of the leaf node.
const domain = "hub"

// natsPeer publishes to a leaf node in this process, which passes on to a
// JetStream that syncs each message before it acks.
type natsPeer struct {
	hub   *exec.Cmd
	input io.Closer // the hub ends with it
	relay *relay
	leaf  *server.Server
	conn  *nats.Conn
	js    jetstream.JetStream
}

// serveHub is this program in its other role.
func serveHub(dir string) error {
	_, ports, err := process.FreePorts(0, 1)
	if err != nil {
		return err
	}
	address, err := net.ResolveTCPAddr("tcp", ports[0])
	if err != nil {
		return err
	}
	s, err := started(&server.Options{
		ServerName: "hub", JetStream: true, JetStreamDomain: domain, StoreDir: dir, SyncAlways: true,
		LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: address.Port, Compression: server.CompressionOpts{Mode: server.CompressionOff}},
	})
	if err != nil {
		return err
	}
	fmt.Println(address)
	_, err = io.Copy(io.Discard, os.Stdin)
	stop(s)
	return err
}

// started runs a server that has no port for clients.
func started(o *server.Options) (*server.Server, error) {
	o.DontListen, o.NoLog, o.NoSigs = true, true, true
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		s.Shutdown()
		return nil, errors.New("NATS does not start")
	}
	return s, nil
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func startNATS(ctx context.Context, o options) (_ peer, err error) {
	n := &natsPeer{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	address, err := n.startHub(ctx, o.dir)
	if err != nil {
		return nil, err
	}
	if n.relay, err = openRelay(address); err != nil {
		return nil, err
	}
	remote := &url.URL{Scheme: "nats-leaf", Host: n.relay.listener.Addr().String()}
	n.leaf, err = started(&server.Options{ServerName: "leaf", LeafNode: server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{
		{URLs: []*url.URL{remote}, Compression: server.CompressionOpts{Mode: server.CompressionOff}}, // zstd has done it
	}}})
	if err != nil {
		return nil, err
	}
	if n.conn, err = nats.Connect("", nats.InProcessServer(n.leaf)); err != nil {
		return nil, err
	}
	if n.js, err = jetstream.NewWithDomain(n.conn, domain, jetstream.WithPublishAsyncMaxPending(natsWindow)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err = n.js.CreateStream(ctx, jetstream.StreamConfig{Name: "bench", Subjects: []string{"bench.>"}})
		if !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrJetStreamNotEnabled) || ctx.Err() != nil {
			return n, err // else the leaf has not reached its hub yet
		}
	}
}

func (n *natsPeer) startHub(ctx context.Context, dir string) (address string, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	hub := exec.CommandContext(ctx, program, "-hub", dir)
	hub.Stderr = os.Stderr
	out, err := hub.StdoutPipe()
	if err != nil {
		return "", err
	}
	if n.input, err = hub.StdinPipe(); err != nil {
		return "", err
	}
	if err := hub.Start(); err != nil {
		return "", err
	}
	n.hub = hub
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), err
}

func (n *natsPeer) send(topic string, payload []byte) error {
	_, err := n.js.PublishAsync(strings.ReplaceAll(topic, "/", "."), payload)
	return err
}

func (n *natsPeer) durable(ctx context.Context) error {
	select {
	case <-n.js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	info, err := n.js.Stream(ctx, "bench")
	if err != nil {
		return err
	}
	if info.CachedInfo().State.Msgs == 0 {
		return errors.New("nothing is in the stream")
	}
	return nil
}

func (n *natsPeer) wire() int64    { return n.relay.up.Load() }
func (n *natsPeer) serverPID() int { return n.hub.Process.Pid }

func (n *natsPeer) close() (err error) {
	if n.conn != nil {
		n.conn.Close()
	}
	if n.leaf != nil {
		stop(n.leaf)
	}
	if n.relay != nil {
		err = n.relay.close()
	}
	if n.hub != nil {
		err = errors.Join(err, n.input.Close(), n.hub.Wait())
	}
	return err
}

// relay passes one connection on and counts it: the leaf node opens its
// connection by itself.
type relay struct {
	listener net.Listener
	up       atomic.Int64
	running  sync.WaitGroup
}

func openRelay(to string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l}
	r.running.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			r.running.Go(func() { pass(counted{there, &r.up}, from) })
			r.running.Go(func() { pass(from, there) })
		}
	})
	return r, nil
}

// pass copies until one side ends.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // an end like any other
	to.Close()
	from.Close()
}

func (r *relay) close() error {
	err := r.listener.Close()
	r.running.Wait()
	return err
}
