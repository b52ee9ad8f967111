package journal

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// I2: the assertion reads the running server, so it must notice one that was
// started with lazy syncs.
func TestAServerThatDoesNotSyncEveryMessageIsRefused(t *testing.T) {
	for _, always := range []bool{true, false} {
		o := options(ServerConfig{Dir: t.TempDir(), Name: "n1"}, minStore)
		o.SyncAlways = always
		ns, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		ns.Start()
		if !ns.ReadyForConnections(readyWithin) {
			t.Fatal("not ready")
		}
		err = assertSyncAlways(ns)
		ns.Shutdown()
		ns.WaitForShutdown()
		if always && err != nil {
			t.Errorf("a server that syncs was refused: %v", err)
		}
		if !always && (err == nil || !strings.Contains(err.Error(), "sync_always is off")) {
			t.Errorf("a server that does not sync: %v", err)
		}
	}
}

func TestAServerWithoutANameIsRefused(t *testing.T) {
	if _, err := StartServer(ServerConfig{Dir: t.TempDir()}, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("started without a name")
	}
}

// Routing starts only behind a listener for clients. Nobody may come in there:
// a client would read and write every log.
func TestTheListenerForClientsLetsNobodyIn(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", 10_000+os.Getpid()%22_000) // where the kernel puts nobody who dials
	s, err := StartServer(ServerConfig{Dir: t.TempDir(), Name: "n1", MaxStore: minStore, Cluster: &ClusterConfig{
		ID: "c1", Listen: address, Core: []string{address, "127.0.0.1:1", "127.0.0.1:2"}, TLS: &tls.Config{},
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url := s.ns.ClientURL()
	if !strings.HasPrefix(url, "nats://127.0.0.1:") {
		t.Fatalf("clients are awaited at %s", url)
	}
	if nc, err := nats.Connect(url); !errors.Is(err, nats.ErrAuthorization) {
		if nc != nil {
			nc.Close()
		}
		t.Fatalf("a client at %s: %v, want it refused", url, err)
	}
}
