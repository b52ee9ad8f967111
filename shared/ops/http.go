package ops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// headerTimeout bounds how long a client may take to send its request
	// line and headers, so that half requests cannot pile up.
	headerTimeout = 5 * time.Second
	// maxHeader is ample for a health probe and small for a 512 MB board.
	maxHeader = 16 << 10
	// shutdownTimeout is how long requests in flight get at a stop.
	shutdownTimeout = 3 * time.Second
	// idleTimeout is how long a connection is kept between requests: longer
	// than the pause between two scrapes, so that they share one.
	idleTimeout = 2 * time.Minute
)

// Check reports nil when a part of the program makes progress. It must not block.
type Check func() error

// Checks are named; a failing one is named in the answer.
type Checks struct {
	Health map[string]Check // /healthz: restart me if this fails
	Ready  map[string]Check // /readyz: send me work only while this passes
}

// NewRegistry holds the Go runtime's and the process's metrics beside the
// program's own.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// Handle adds /healthz, /readyz and /metrics to mux.
func Handle(mux *http.ServeMux, reg prometheus.Gatherer, checks Checks) {
	mux.Handle("GET /healthz", probe(checks.Health))
	mux.Handle("GET /readyz", probe(checks.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
}

func probe(checks map[string]Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var failed error
		for _, name := range slices.Sorted(maps.Keys(checks)) {
			if err := checks[name](); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			}
		}
		if failed != nil {
			http.Error(w, failed.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

// Serve answers on addr until ctx ends, then lets requests in flight finish.
// started is called with the bound address, which differs from addr for port 0.
func Serve(ctx context.Context, addr string, h http.Handler, started func(net.Addr)) error {
	l, err := Listen(ctx, addr)
	if err != nil {
		return err
	}
	started(l.Addr())
	return ServeOn(ctx, l, h)
}

// Listen binds addr for ServeOn: a program that cannot have its port learns it
// before it opens anything else.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http: listen on %s: %w", addr, err)
	}
	return l, nil
}

// ServeOn is Serve on a listener, which it closes.
func ServeOn(ctx context.Context, l net.Listener, h http.Handler) error {
	return ServeWith(ctx, l, &http.Server{Handler: h, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader})
}

// ServeWith is ServeOn with a server that is set up otherwise.
func ServeWith(ctx context.Context, l net.Listener, srv *http.Server) error {
	srv.ReadHeaderTimeout = headerTimeout
	silent := &silent{conns: make(map[net.Conn]bool)}
	srv.ConnState = silent.note
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	silent.close()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		err = errors.Join(fmt.Errorf("http: shutdown: %w", err), srv.Close())
		<-done
		return err
	}
	<-done
	return nil
}

// silent are the connections that have asked nothing yet, as browsers keep one
// ready: at its end http.Server would wait for them as for requests.
type silent struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

func (s *silent) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.ended:
		c.Close()
	default:
		s.conns[c] = true
	}
}

// close closes them, and those that come.
func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		c.Close()
	}
}
