// Command edgepeers moves the gateway's workload of tests/bench/workload with
// other means than Atrium's and prints as JSON what that took: MQTT to
// mosquitto, with a message for each reading or with batches, and NATS from a
// leaf node into JetStream. tests/bench/edge starts it and has the same figures
// of Atrium beside them. It measures one case in one run.
//
// It is a module of its own, so that the MQTT client never enters the product's;
// NATS and zstd have the product's versions.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/bench/workload"
	"github.com/atrium-iot/atrium/tests/proc"
)

// options are the command line.
type options struct {
	length time.Duration
	dir    string // where servers write: the disk that is measured
	cache  string // folder for downloaded packages
}

// peer carries encoded readings to a server. send waits while too much is under
// way; durable waits until everything that was sent is durable.
type peer interface {
	send(topic string, payload []byte) error
	durable(ctx context.Context) error
	// wire is how many bytes of TCP's payload went to the server.
	wire() int64
	serverPID() int
	close() error
}

// result is what one case took.
type result struct {
	Readings  int64   `json:"readings"`
	Seconds   float64 `json:"seconds"` // until all were durable
	Wire      int64   `json:"wire_bytes"`
	ClientCPU float64 `json:"client_cpu_seconds"`
	ServerCPU float64 `json:"server_cpu_seconds"`
	Skipped   string  `json:"skipped,omitempty"` // why there is nothing
}

// errSkipped wraps the reasons for which a case cannot be run here.
var errSkipped = errors.New("skipped")

type measured struct {
	name  string
	start func(ctx context.Context, o options) (peer, error)
	feed  func(p peer, rows *series, until time.Time) (readings int64, err error)
}

var cases = []measured{
	{"mqtt-json", startMQTT, feedReadings},
	{"mqtt-batch", startMQTT, feedBatches},
	{"nats-batch", startNATS, feedBatches},
}

func main() {
	var o options
	which := flag.String("case", cases[0].name, "what to measure")
	hub := flag.String("hub", "", "be the NATS server that writes into this folder: how this program starts itself")
	flag.DurationVar(&o.length, "length", 10*time.Second, "how long readings are sent")
	flag.StringVar(&o.dir, "dir", "", "folder for the servers' data")
	flag.StringVar(&o.cache, "cache", "", "folder for mosquitto, where it is not installed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := func() error { return run(ctx, *which, o) }
	if *hub != "" {
		do = func() error { return serveHub(*hub) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "edgepeers:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, which string, o options) error {
	i := slices.IndexFunc(cases, func(c measured) bool { return c.name == which })
	if i < 0 {
		return fmt.Errorf("-case %s: no such case", which)
	}
	r, err := measure(ctx, cases[i], o)
	if errors.Is(err, errSkipped) {
		r, err = result{Skipped: err.Error()}, nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", which, err)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func measure(ctx context.Context, c measured, o options) (r result, err error) {
	rows := &series{all: workload.Gateway(cycle)}
	p, err := c.start(ctx, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	client, server, err := used(p)
	if err != nil {
		return r, err
	}
	begin, wire := time.Now(), p.wire()
	readings, err := c.feed(p, rows, begin.Add(o.length))
	if err != nil {
		return r, err
	}
	if err := p.durable(ctx); err != nil {
		return r, err
	}
	r = result{Readings: readings, Seconds: time.Since(begin).Seconds(), Wire: p.wire() - wire}
	clientAfter, serverAfter, err := used(p)
	r.ClientCPU, r.ServerCPU = (clientAfter - client).Seconds(), (serverAfter - server).Seconds()
	return r, err
}

// used is the processor time of both sides so far.
func used(p peer) (client, server time.Duration, err error) {
	client, err1 := proc.CPUOf(os.Getpid())
	server, err2 := proc.CPUOf(p.serverPID())
	return client, server, errors.Join(err1, err2)
}
