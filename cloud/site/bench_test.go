package site

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// noHistory takes everything and keeps nothing.
type noHistory struct{}

func (noHistory) Position(int) uint64                           { return 0 }
func (noHistory) Write(int, uint64, *history.Projections) error { return nil }

func (noHistory) Hole(int) history.Hole      { return history.Hole{} }
func (noHistory) OpenHole(int, uint64) error { return nil }
func (noHistory) Fill(*history.Part) error   { return nil }

func (noHistory) Adopt(id.Site, int, uint64) error      { return nil }
func (noHistory) Adoptions() []history.Adoption         { return nil }
func (noHistory) FillSite(*history.Part, id.Site) error { return nil }

// nowhere takes every part.
type nowhere struct{ Objects }

func (nowhere) Put(context.Context, string, []byte) error { return nil }

func (nowhere) List(context.Context) ([]journal.Object, error) { return nil, nil }

// BenchmarkFrame is the way of a frame through its site: of one device with a
// reading, and of 64 devices; without parts of history, and with them.
func BenchmarkFrame(b *testing.B) {
	for _, devices := range []int{1, 64} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) { benchFrames(b, devices, nil) })
		b.Run(fmt.Sprintf("devices=%d/parts", devices), func(b *testing.B) { benchFrames(b, devices, nowhere{}) })
	}
}

func benchFrames(b *testing.B, devices int, parts Objects) {
	system := actor.NewActorSystem(actor.Config{Address: "node", Port: 1, ClusterName: "test"}, quiet())
	s, err := New(Config{Node: "node"}, Parts{Journal: noLog{}, Owner: noOwner{}, History: noHistory{}, Parts: parts, Actors: system}, quiet(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.done()
	defer s.shelf.start(b.Context())()
	recs := opening(gw1, run(1), boot1, dev1)
	names := []id.Device{dev1}
	for i := 1; i < devices; i++ {
		dev := id.Device{Site: "hq", Name: fmt.Sprint("d", i)}
		names = append(names, dev)
		recs = append(recs, schemaOf(gw1, run(1), uint32(i+1), dev))
	}
	recs = append(recs, bindTo(gw1, names...))
	s.play(b, []journal.Message{{Seq: 1, Time: time.UnixMilli(1), Records: recs}})
	seq := uint64(0)
	next := func() journal.Record {
		seq++
		m := wire.Frame{Run: run(1), Seq: seq, Clk: 1, T0: int64(seq)}
		for i := range devices {
			var rows wire.Rows
			rows.Append(int64(seq), 0, []int64{int64(seq)})
			m.Blocks = append(m.Blocks, wire.Block{SID: uint32(i + 1), N: 1, DT0: wire.DT0(int64(seq), int64(seq), tickNanos), Data: wire.AppendColumns(nil, &rows, 1000)})
		}
		return wireRecord(journal.KindFrame, gw1, m.Append(nil))
	}
	const each = 64 // records a message
	b.ReportAllocs()
	for n := 0; n < b.N; n += each {
		b.StopTimer()
		m := journal.Message{Seq: s.applied + 1, Time: time.UnixMilli(int64(seq))}
		for range min(each, b.N-n) {
			m.Records = append(m.Records, next())
		}
		b.StartTimer()
		if err := s.apply(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
