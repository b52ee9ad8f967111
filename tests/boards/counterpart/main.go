// Command counterpart is the other side of an agent on a board that has no link:
// the cloud's real gate, on the loopback, before an appender that calls each
// record durable at once, counts its readings and forgets it. What the agent does
// for its cloud it does whole: TLS on both sides, QUIC, acks, credit. Beside that
// it looks at the agent every few seconds, from outside, and tells the console.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/shared/id"
)

func main() {
	ca := flag.String("ca", "", "folder of the cluster's CA")
	listen := flag.String("listen", "", "UDP address of the gate")
	agent := flag.String("agent", "", "HTTP address of the agent")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *ca, *listen, *agent); err != nil {
		fmt.Fprintln(os.Stderr, "counterpart:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, ca, listen, agent string) error {
	var counted appender
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serve(ctx, ca, listen, &counted) })
	g.Go(func() error { return observe(ctx, agent, &counted) })
	return g.Wait()
}

// serve is the gate.
func serve(ctx context.Context, folder, listen string, appender gate.Appender) (err error) {
	ca, err := identity.OpenCA(folder)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	tls, err := ca.ServerTLS("board", []string{host})
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	g := gate.New(gate.Config{Cluster: ca.Cluster(), Node: "board", TLS: tls, Identify: ca.GatewayOf}, oneShard{}, appender, slog.New(slog.NewTextHandler(os.Stderr, nil)), nil)
	return g.Serve(ctx, gate.Transport(socket, gate.Keys{}))
}

// oneShard has every site.
type oneShard struct{}

func (oneShard) Assign(context.Context, id.Site) (int, error) { return 0, nil }
