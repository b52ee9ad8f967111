package gate

import (
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// run is what a connection knows of a run.
type run struct {
	name    id.Run
	foreign bool // another gateway's: its frames are rejected

	closed bool   // by hello: it ends at last
	last   uint64 // of a closed run

	next    uint64 // the sequence after the highest taken; 0: none yet
	waiting uint64 // the rejected sequence that must come again; 0: none
	acked   uint64 // the highest durable sequence

	series map[uint32]series
	clocks map[uint32]wire.Clock

	rejected bool // a reject is in the outbox
	inAck    bool // the run is in the outbox's ack
}

// series is what a schema message says, and the shape of its columns.
type series struct {
	device id.Device
	hash   id.Schema
	grid   uint64
	digest [32]byte
	shape  wire.Shape
}

// end takes what hello says of the run's end.
func (r *run) end(info wire.RunInfo) {
	r.closed, r.last = info.State != wire.RunOpen, info.Last
}

func (r *run) addSeries(sid uint32, def series) {
	if r.series == nil {
		r.series = make(map[uint32]series)
	}
	r.series[sid] = def
}

func (r *run) addClock(m wire.Clock) {
	if r.clocks == nil {
		r.clocks = make(map[uint32]wire.Clock)
	}
	r.clocks[m.Clk] = m
}
