package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// slowJournal makes records durable at a rate, behind what others have queued.
type slowJournal struct {
	mu     sync.Mutex
	rate   float64 // bytes a second
	others int64   // bytes queued of other gateways
	queued int64
	free   time.Time
}

func (j *slowJournal) set(rate float64, others int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rate, j.others = rate, others
}

func (j *slowJournal) Append(_ int, _ string, rec journal.Record, done func(uint64, error)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	if j.free.Before(now) {
		j.free = now
	}
	size := int64(len(rec.Body))
	j.queued += size
	j.free = j.free.Add(time.Duration(float64(size) / j.rate * float64(time.Second)))
	time.AfterFunc(j.free.Sub(now), func() {
		j.mu.Lock()
		j.queued -= size
		j.mu.Unlock()
		done(1, nil)
	})
	return nil
}

func (j *slowJournal) LagOf(int, id.Site) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.queued + j.others
}

type firstShard struct{}

func (firstShard) Assign(context.Context, id.Site) (int, error) { return 0, nil }

// The journal's lag reaches the sampler: a journal that falls behind gives less
// credit, live frames wait for it, the buffer is told and presses; and all of
// that ends when the journal has caught up. Nothing is lost meanwhile (I1).
func TestTheJournalsLagReachesTheSamplerAndLetsGo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const fast, slow, behind = 50e6, 20e3, 64 << 20
		name := id.Gateway{Site: "hq", Name: "gw-1"}
		ca, err := identity.OpenCA(filepath.Join(dir, "ca"))
		if err != nil {
			t.Fatal(err)
		}
		creds, err := credentials(ca, name)
		if err != nil {
			t.Fatal(err)
		}
		tls, err := ca.ServerTLS("n1", []string{"10.0.1.1"})
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		net := newNetwork(1)
		j := &slowJournal{rate: fast}
		g := gate.New(gate.Config{Cluster: ca.Cluster(), Node: "n1", TLS: tls, Identify: ca.GatewayOf}, firstShard{}, j, log, nil)
		ctx, stop := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		defer parts.Wait()
		defer stop()
		server := net.endpoint(nodeAddr(0))
		gates := gate.Transport(server, gate.Keys{})
		parts.Go(func() {
			if err := g.Serve(ctx, gates); err != nil {
				t.Error(err)
			}
			_ = gates.Close()
			_ = server.Close()
		})

		began := time.Now()
		store, err := buffertest.NewDisk(1).Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := buffer.Open(t.Context(), buffer.Config{Boot: id.Boot{1}, Board: id.Board{1}, Now: func() time.Duration { return time.Since(began) }}, store, log, nil)
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan bool, 10)
		client := net.endpoint(gatewayAddr())
		transport := uplink.Transport(client)
		up := uplink.New(uplink.Config{
			Cloud: []string{nodeAddr(0).String()}, TLS: creds.ClientTLS(nil), Agent: "sim",
			OnStarved: func(starved bool) { b.SetStarved(starved); told <- starved },
		}, uplink.FromBuffer(b), transport, log, nil)
		parts.Go(func() {
			if err := up.Run(ctx); err != nil {
				t.Error(err)
			}
			_ = b.Close(context.Background())
			_ = transport.Close()
			_ = client.Close()
		})
		s := noiseSeries(t, b)
		tell := func(span time.Duration) string {
			for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				s.row(t, time.Since(began))
			}
			out := ""
			for len(told) > 0 {
				out += fmt.Sprint(<-told, " ")
			}
			return out
		}
		if got := tell(20 * time.Second); got != "" || b.Pressure() != buffer.PressureNone {
			t.Fatalf("a fast journal: told %s, pressure %v", got, b.Pressure())
		}
		j.set(slow, behind)
		if got := tell(time.Minute); got != "true " || b.Pressure() == buffer.PressureNone {
			t.Fatalf("a slow journal: told %q, pressure %v", got, b.Pressure())
		}
		j.set(fast, 0)
		if got := tell(2 * time.Minute); got != "false " || b.Pressure() != buffer.PressureNone {
			t.Fatalf("a journal that caught up: told %q, pressure %v", got, b.Pressure())
		}
		time.Sleep(time.Minute)
		if st := b.Stats(); st.Frames != 0 || st.Acked != st.Sampled {
			t.Errorf("%d of %d readings are acked, %d frames are left", st.Acked, st.Sampled, st.Frames)
		}
	})
}

func gatewayAddr() *net.UDPAddr { return &net.UDPAddr{IP: net.IP{10, 0, 2, 1}, Port: 1000} }

// noise is a series whose frames do not compress.
type noise struct {
	series *buffer.Series
	rng    *rand.PCG
	v      []int64
}

func noiseSeries(t *testing.T, b *buffer.Buffer) *noise {
	body := wire.Body{Profile: "test", Version: 1, Tick: 1_000_000}
	for i := range wire.MaxColumns {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point(fmt.Sprintf("p%d", i)), Unit: "1", Mantissa: 1})
	}
	s, err := b.Series(id.Device{Site: "hq", Name: "t1"}, body, [32]byte{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &noise{s, rand.NewPCG(1, 2), make([]int64, len(body.Columns))}
}

func (n *noise) row(t *testing.T, at time.Duration) {
	for i := range n.v {
		n.v[i] = int64(n.rng.Uint64())
	}
	if err := n.series.Append(at.Milliseconds(), 0, n.v, 0); err != nil {
		t.Fatal(err)
	}
}
