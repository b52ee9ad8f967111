package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/simulator/link"
)

func newLink(out *output) *cobra.Command {
	var cfg link.Config
	var control string
	cmd := &cobra.Command{
		Use:   "link --listen HOST:PORT --to HOST:PORT --control HOST:PORT",
		Short: "Relay UDP and TCP over a link that can be cut, delayed and made lossy",
		Long: `Relay UDP packets and TCP connections from clients to a target and back over a
link whose conditions an HTTP control changes while it runs:

  GET  /state                  conditions and counters, as JSON
  POST /cut  /heal             let nothing through, and everything again
  POST /cut?direction=down     let nothing through that way, up or down
  POST /block  /unblock        let no UDP through, TCP alone, and both again
  POST /rebind                 change the clients' ports and end TCP, as a NAT that restarts
  POST /delay?ms=N&jitter=N    hold back, each way; jitter reorders packets
  POST /drop?percent=N         lose packets at random, each way
  POST /duplicate?percent=N    double packets at random, each way
  POST /rate?kbps=N            limit the rate, each way; 0 is unlimited
  GET  /metrics                the counters, for Prometheus

Cut TCP connections wait and go on, as their senders repeat what was lost.
The control has no passwords and so listens on loopback alone.`,
		Example: `  atrium-sim link --listen 127.0.0.1:7001 --to 127.0.0.1:7000 --control 127.0.0.1:7002
  curl -X POST http://127.0.0.1:7002/cut
  curl -X POST 'http://127.0.0.1:7002/delay?ms=80&jitter=20'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLink(cmd, out, cfg, control)
		},
	}
	cmd.Flags().StringVar(&cfg.Listen, "listen", "", "UDP and TCP address where clients send to (required)")
	cmd.Flags().StringVar(&cfg.To, "to", "", "UDP and TCP address of the target (required)")
	cmd.Flags().StringVar(&control, "control", "", "loopback address of the HTTP control (required)")
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", 0, "seed of the random loss and jitter")
	require(cmd, "listen", "to", "control")
	return cmd
}

func runLink(cmd *cobra.Command, out *output, cfg link.Config, control string) error {
	log, err := ops.NewLogger(cmd.ErrOrStderr(), out.level)
	if err != nil {
		return err
	}
	if err := loopback(control); err != nil {
		return err
	}
	reg := ops.NewRegistry()
	relay, err := link.Open(cmd.Context(), cfg, log, reg)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", relay.Handler())
	ops.Handle(mux, reg, ops.Checks{})

	group, ctx := errgroup.WithContext(cmd.Context())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() error { return relay.Run(ctx) })
	group.Go(func() error {
		var printed error
		err := ops.Serve(ctx, control, mux, func(at net.Addr) {
			printed = out.ready(cmd.OutOrStdout(),
				field{"listen", relay.Addr().String()}, field{"to", cfg.To}, field{"control", at.String()})
			if printed != nil {
				cancel() // nobody would learn that it serves
			}
		})
		return errors.Join(err, printed)
	})
	return group.Wait()
}

// loopback refuses a control that others could reach.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("control %s: want a loopback address such as 127.0.0.1:7002", addr)
	}
	return nil
}
