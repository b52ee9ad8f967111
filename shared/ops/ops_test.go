package ops_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/shared/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAFailingCheckIsNamedAndUnavailable(t *testing.T) {
	mux := http.NewServeMux()
	ops.Handle(mux, prometheus.NewRegistry(), ops.Checks{
		Health: map[string]ops.Check{"sampler": func() error { return nil }, "buffer": func() error { return errors.New("no commit for 61s") }},
		Ready:  map[string]ops.Check{"sampler": func() error { return nil }},
	})
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "buffer: no commit for 61s") {
		t.Errorf("/healthz = %d %q", code, body)
	}
	if code, body := get("/readyz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz = %d %q", code, body)
	}
	if code, _ := get("/metrics"); code != http.StatusOK {
		t.Errorf("/metrics = %d", code)
	}
}

func TestServeStopsWithItsContextAndNamesAPortInUse(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() {
		done <- ops.Serve(ctx, "127.0.0.1:0", http.NotFoundHandler(), func(a net.Addr) { addr <- a })
	}()
	at := (<-addr).String()
	err := ops.Serve(ctx, at, http.NotFoundHandler(), func(net.Addr) { t.Error("bound a port in use") })
	if err == nil || !strings.Contains(err.Error(), at) {
		t.Errorf("a port in use gave %v, want an error that names %s", err, at)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestAConnectionThatAsksNothingHoldsUpNoStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := ops.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- ops.ServeOn(ctx, l, http.NotFoundHandler()) }()
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	resp, err := http.Get("http://" + l.Addr().String()) // accepted after the silent one
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the stop waited: %v", err)
	}
}

func TestAnErrorIsOneLineAndStatusOne(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "atrium-x", RunE: func(*cobra.Command, []string) error { return errors.New("state: no such directory") }}
	cmd.SetArgs(nil)
	cmd.SetErr(&out)
	cmd.SetOut(io.Discard)
	if code := ops.Run(cmd); code != 1 || out.String() != "atrium-x: state: no such directory\n" {
		t.Errorf("status %d, stderr %q", code, out.String())
	}
	out.Reset()
	cmd.RunE = func(*cobra.Command, []string) error { return ops.ErrReported }
	if code := ops.Run(cmd); code != 1 || out.Len() != 0 {
		t.Errorf("status %d, stderr %q for an error already reported", code, out.String())
	}
}

func TestAnUnknownSubcommandIsRefusedAtEveryLevel(t *testing.T) {
	var out bytes.Buffer
	root := &cobra.Command{Use: "atrium-x"}
	group := &cobra.Command{Use: "issue"}
	group.AddCommand(&cobra.Command{Use: "gateway", RunE: func(*cobra.Command, []string) error { return nil }})
	root.AddCommand(group)
	root.SetErr(&out)
	root.SetOut(io.Discard)
	for args, want := range map[string]string{
		"bogus":       "atrium-x: unknown command \"bogus\" for \"atrium-x\": want one of issue\n",
		"issue bogus": "atrium-x: unknown command \"bogus\" for \"atrium-x issue\": want one of gateway\n",
	} {
		out.Reset()
		root.SetArgs(strings.Fields(args))
		if code := ops.Run(root); code != 2 || out.String() != want {
			t.Errorf("%s: status %d, stderr %q", args, code, out.String())
		}
	}
	root.SetArgs([]string{"issue", "gateway"})
	if code := ops.Run(root); code != 0 {
		t.Errorf("a subcommand that exists ended with status %d", code)
	}
}

func TestAWrongCommandLineHasAStatusOfItsOwn(t *testing.T) {
	for _, args := range [][]string{{"do", "--nothing"}, {"do", "too", "many"}, {"do", "--odd=3"}} {
		var odd int
		root := &cobra.Command{Use: "atrium-x"}
		do := &cobra.Command{Use: "do", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			return ops.Usage(fmt.Errorf("--odd %d: want an even number", odd))
		}}
		do.Flags().IntVar(&odd, "odd", 0, "")
		root.AddCommand(do)
		root.SetArgs(args)
		var out bytes.Buffer
		root.SetErr(&out)
		if code := ops.Run(root); code != 2 || !strings.HasPrefix(out.String(), "atrium-x: ") {
			t.Errorf("%q: status %d, %q", args, code, out.String())
		}
	}
}

func TestJoinedErrorsStayOnOneLine(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "atrium-x", RunE: func(*cobra.Command, []string) error {
		return errors.Join(errors.New("port in use"), errors.New("close: gone"))
	}}
	cmd.SetArgs(nil)
	cmd.SetErr(&out)
	if code := ops.Run(cmd); code != 1 || out.String() != "atrium-x: port in use; close: gone\n" {
		t.Errorf("status %d, stderr %q", code, out.String())
	}
}

func TestAnUnknownLogLevelIsRefused(t *testing.T) {
	if _, err := ops.NewLogger(io.Discard, "loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("got %v", err)
	}
	if _, err := ops.NewLogger(io.Discard, "warn"); err != nil {
		t.Error(err)
	}
	if ops.Version() == "" {
		t.Error("no version")
	}
}

func TestACollectorThatIsOpenedAgainGoesOnCounting(t *testing.T) {
	reg := prometheus.NewRegistry()
	opts := prometheus.CounterOpts{Name: "atrium_ops_test_total", Help: "Counts."}
	ops.Register(reg, prometheus.NewCounter(opts)).Inc()
	ops.Register(reg, prometheus.NewCounter(opts)).Inc()
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetMetric()[0].GetCounter().GetValue() != 2 {
		t.Errorf("gathered %v, %v, want one counter at 2", families, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a gauge of the counter's name was registered")
		}
	}()
	ops.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts(opts)))
}
