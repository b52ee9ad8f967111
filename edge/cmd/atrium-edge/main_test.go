package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/edge/agent"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"atrium-edge": main})
}

func TestTheCommandLine(t *testing.T) {
	eta := int64(250)
	gateway := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(agent.Status{
			Gateway: "hq/gw-1", Connected: true, Cloud: "127.0.0.1:7443", Mode: "spill", Devices: 3,
			Sampled: 100, Committed: 90, Acked: 80, Dropped: 7, Recovered: 4, DrainETA: &eta, SentBytes: 4200,
			Buffer:   agent.BufferStatus{Frames: 2, Readings: 20, Bytes: 300, OldestAge: 1500, DiskBytes: 4096, Pressure: "high"},
			Commands: agent.CommandsStatus{Executed: 5, Unsettled: 1},
		})
	}))
	away := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(agent.Status{Gateway: "hq/gw-1", SentBytes: 10})
	}))
	other := serve(t, http.NotFoundHandler())
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(env *testscript.Env) error {
		env.Setenv("GATEWAY", gateway)
		env.Setenv("AWAY", away)
		env.Setenv("OTHER", other)
		return nil
	}})
}

// serve returns the address of a server that lives as long as the test.
func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestEveryCommandsHelpHasAnExample(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s: no example or no short text", cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot())
}
