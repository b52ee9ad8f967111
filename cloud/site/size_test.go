package site

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var twins = flag.Int("site.twins", 10_000, "how many twins BenchmarkTwins has, in thousands a site")

const (
	twinsSite    = 1000 // of eight gateways
	twinsGateway = 125
)

// fivePoints is a device with five points.
func fivePoints() []byte {
	b := wire.Body{Profile: "atrium.five", Version: 1, Tick: tickNanos}
	for _, p := range []id.Point{"temperature", "humidity", "pressure", "co2", "light"} {
		b.Columns = append(b.Columns, wire.Column{Point: p, Unit: "1", Kind: wire.KindNumber, Mantissa: 1})
	}
	return b.Append(nil)
}

// population is all that a gateway sends until each of its devices has five
// readings.
func population(gw id.Gateway, n int, body []byte) []journal.Record {
	r := id.Run{byte(n), byte(n >> 8), byte(n >> 16), 1}
	recs := []journal.Record{hello(gw, 1, []id.Boot{boot1}, wire.RunInfo{Run: r, Class: wire.Telemetry, First: 1}), clockOf(gw, r, 1, boot1, 0)}
	frame := wire.Frame{Run: r, Seq: 1, Clk: 1, T0: 1}
	var devices []id.Device
	for i := range twinsGateway {
		dev := id.Device{Site: gw.Site, Name: fmt.Sprintf("%s-d%d", gw.Name, i)}
		devices = append(devices, dev)
		m := wire.Schema{Run: r, SID: uint32(i + 1), Device: dev, Hash: wire.HashBody(body), Grid: 1000, Body: body}
		recs = append(recs, wireRecord(journal.KindSchema, gw, m.Append(nil)))
		var rows wire.Rows
		rows.Append(1, 0, []int64{int64(i), 2, 3, 4, 5})
		frame.Blocks = append(frame.Blocks, wire.Block{SID: uint32(i + 1), N: 1, DT0: wire.DT0(1, 1, tickNanos), Data: wire.AppendColumns(nil, &rows, 1000)})
	}
	return append(recs, bindTo(gw, devices...), wireRecord(journal.KindFrame, gw, frame.Append(nil)))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalisers have let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkTwins measures what a twin of five points takes in memory and in a
// snapshot, and how long a shard of them takes to come back. A million:
//
//	go test -run '^$' -bench Twins -benchtime 1x ./cloud/site -site.twins 1000000
func BenchmarkTwins(b *testing.B) {
	for range b.N {
		benchTwins(b)
	}
}

func benchTwins(b *testing.B) {
	before := heap()
	s := offlineShard(b)
	defer s.done()
	objects := journaltest.NewMem(journaltest.Config{}).Objects(0)
	s.owner, s.objects, s.history = new(fenceOwner), objects, noHistory{}
	body := fivePoints()
	gateways := *twins / twinsGateway
	begin := time.Now()
	for n := range gateways {
		gw := id.Gateway{Site: id.Site(fmt.Sprintf("s%d", n/(twinsSite/twinsGateway))), Name: fmt.Sprintf("gw%d", n)}
		if err := s.apply(b.Context(), journal.Message{Seq: s.applied + 1, Time: time.UnixMilli(1), Records: population(gw, n, body)}); err != nil {
			b.Fatal(err)
		}
		s.pending.Reset()
	}
	all := float64(gateways * twinsGateway)
	b.ReportMetric(time.Since(begin).Seconds()*1e6/all, "us-apply/twin")
	b.ReportMetric(float64(heap()-before)/all, "B-heap/twin")

	begin = time.Now()
	job, err := s.snapshot(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.keeper.keep(b.Context(), job); !job.kept {
		b.Fatal(err)
	}
	b.ReportMetric(float64(job.size)/all, "B-snapshot/twin")
	b.ReportMetric(time.Since(begin).Seconds(), "s-snapshot")
	want := len(s.sites)
	job = nil

	again := offlineShard(b)
	defer again.done()
	again.objects, again.history = objects, noHistory{}
	begin = time.Now()
	if err := again.loadManifest(b.Context(), s.applied); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(begin).Seconds(), "s-restore")
	b.ReportMetric(0, "ns/op") // says nothing
	if len(again.sites) != want {
		b.Fatalf("%d of %d sites came back", len(again.sites), want)
	}
	runtime.KeepAlive(s)
}

func offlineShard(b *testing.B) *Shard {
	system := actor.NewActorSystem(actor.Config{Address: "node", Port: 1, ClusterName: "test"}, quiet())
	s, err := New(Config{Node: "node"}, Parts{Journal: noLog{}, Owner: noOwner{}, Documents: newFakeDocuments(), Sender: &fakeSender{}, Actors: system}, quiet(), nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}
