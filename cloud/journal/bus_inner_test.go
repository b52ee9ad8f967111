package journal

import (
	"log/slog"
	"testing"
	"time"
)

// A subscription outlives the connection that it was made on.
func TestTheBusConnectsAgain(t *testing.T) {
	s, err := StartServer(ServerConfig{Dir: t.TempDir(), Name: "n1", MaxStore: minStore}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.Bus(nil)
	got := make(chan string, 1000)
	stop, err := b.Subscribe("a", func(m BusMessage) { got <- string(m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := b.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if err := b.Publish("a", []byte("again")); err == nil {
			if err := b.nc.FlushTimeout(time.Second); err == nil {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection did not come back")
		}
		time.Sleep(time.Millisecond)
	}
	if m := <-got; m != "again" {
		t.Fatalf("got %q", m)
	}
}
