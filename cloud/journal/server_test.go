package journal

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
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
