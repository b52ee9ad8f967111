package journal_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

const (
	frameBytes = 8 << 10
	rawBytes   = 512 << 10 // a message of the engine, as large as the coalescer's
	rawFlights = 2         // messages in flight, as the coalescer has flushers
	rounds     = 10        // of each way in turn: both meet the same minute of the disk
)

// BenchmarkShareOfTheEngine compares what a node takes from gateways to
// durable with what the engine takes of the same bytes: messages of 512 KiB to
// a stream of the same kind, two in flight, no records, no order by gateway.
// The ways take turns. share-% is ours of the engine's. Three replicas are
// three servers in this process on one disk; the publisher's is the leader, or
// a follower. One operation is one frame.
//
//	go test -run '^$' -bench ShareOfTheEngine -benchtime 20000x ./tests/bench/journal
func BenchmarkShareOfTheEngine(b *testing.B) {
	b.Run("replicas=1", func(b *testing.B) {
		s, err := journal.StartServer(journal.ServerConfig{Dir: filepath.Join(b.TempDir(), "store"), Name: "n1", MaxStore: 1 << 30}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		share(b, s, "")
	})
	for through, name := range []string{"leader", "follower"} {
		b.Run("replicas=3/through="+name, func(b *testing.B) {
			nodes := journaltest.StartNodes(b)
			share(b, nodes.Servers[through], nodes.Configs[0].Name)
		})
	}
}

// lead makes a node the leader of a stream.
func lead(b *testing.B, s *journal.Server, stream, node string) {
	b.Helper()
	for {
		st, err := s.JetStream().Stream(b.Context(), stream)
		if err == nil && st.CachedInfo().Cluster.Leader == node {
			return
		}
		request := fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, node)
		if _, err := s.JetStream().Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, request, time.Second); err != nil {
			b.Log(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// share measures through s; a cluster's leader is made that of both streams.
func share(b *testing.B, s *journal.Server, leader string) {
	log, ctx := slog.New(slog.DiscardHandler), b.Context()
	l, err := journal.OpenLog(ctx, s, 0, journal.LogConfig{MaxBytes: s.LogBytes(2)}, log, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.PublishBarrier(ctx, 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		b.Fatal(err)
	}
	like, err := s.JetStream().Stream(ctx, "INGEST_0")
	if err != nil {
		b.Fatal(err)
	}
	cfg := like.CachedInfo().Config
	cfg.Name, cfg.Subjects = "RAW", []string{"raw"}
	if _, err := s.JetStream().CreateStream(ctx, cfg); err != nil {
		b.Fatal(err)
	}
	if leader != "" {
		lead(b, s, "INGEST_0", leader)
		lead(b, s, "RAW", leader)
	}
	c := journal.NewCoalescer([]journal.Publisher{l}, journal.CoalescerConfig{}, log, nil)
	b.Cleanup(func() {
		if err := c.Close(b.Context()); err != nil && b.Context().Err() == nil {
			b.Error(err)
		}
	})

	var ours, engine time.Duration
	frames := max(b.N/rounds, 1)
	for i := range rounds {
		if i%2 == 0 {
			engine += publishRaw(b, s.JetStream(), frames*frameBytes)
		}
		ours += appendFrames(b, c, frames)
		if i%2 == 1 {
			engine += publishRaw(b, s.JetStream(), frames*frameBytes)
		}
	}
	took := float64(rounds*frames*frameBytes) / 1e6
	b.ReportMetric(took/ours.Seconds(), "ours-MB/s")
	b.ReportMetric(took/engine.Seconds(), "engine-MB/s")
	b.ReportMetric(100*engine.Seconds()/ours.Seconds(), "share-%")
	b.ReportMetric(0, "ns/op") // of both ways together: it says nothing
}

// publishRaw publishes so many bytes as the engine takes them best.
func publishRaw(b *testing.B, js jetstream.JetStream, size int) time.Duration {
	messages := make(chan []byte, size/rawBytes+1)
	payload := make([]byte, rawBytes)
	for ; size > 0; size -= rawBytes {
		messages <- payload[:min(size, rawBytes)]
	}
	close(messages)
	start := time.Now()
	var wg sync.WaitGroup
	for range rawFlights {
		wg.Go(func() {
			for m := range messages {
				if _, err := js.Publish(b.Context(), "raw", m); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// appendFrames appends frames of many gateways, of which inFlight wait for
// their ack, as the gate does.
func appendFrames(b *testing.B, c *journal.Coalescer, frames int) time.Duration {
	window := make(chan struct{}, inFlight)
	body := make([]byte, frameBytes)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range frames {
		window <- struct{}{}
		wg.Add(1)
		rec := journal.Record{Kind: journal.KindFrame, Origin: fmt.Sprintf("hq/gw-%d", i%gateways), Site: "hq", Body: body}
		done := func(_ uint64, err error) {
			if err != nil {
				b.Error(err)
			}
			<-window
			wg.Done()
		}
		if err := c.Append(0, rec.Origin, rec, done); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	return time.Since(start)
}
