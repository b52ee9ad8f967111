package main

import (
	"math"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

// load is what one frame carries.
type load struct {
	name     string
	readings int
	series   []workload.Series
}

func gateway(readings int) load {
	return load{"gw", readings, workload.Gateway(max(readings/(workload.Devices*workload.Points), 1))}
}

func motion(readings int) load {
	rows := max(readings/workload.MotionAxes, 1)
	return load{"imu6", rows * workload.MotionAxes, []workload.Series{workload.Motion(rows)}}
}

// machines is a row each of as many devices, of a state in words and a float
// without a resolution: what packing is for.
func machines(devices int) load {
	w := load{name: "text", readings: 2 * devices}
	states := []string{"idle", "running", "waiting for the door", "stuck: torque over limit"}
	for i := range devices {
		var s workload.Series
		v, _ := s.Rows.Text(0, states[i*i%len(states)])
		s.Rows.Append(3_600_000, 0, []int64{v, int64(math.Float64bits(20 + math.Sin(float64(i))))})
		w.series = append(w.series, s)
	}
	return w
}

// encode makes the frame, reusing what scratch holds.
func (w *load) encode(dst []byte, s *scratch) []byte {
	const t0 = 3_600_000
	s.columns, s.frame.Blocks = s.columns[:0], s.frame.Blocks[:0]
	for i := range w.series {
		rows := &w.series[i].Rows
		start := len(s.columns)
		s.columns = wire.AppendColumns(s.columns, rows, w.series[i].Grid)
		s.frame.Blocks = append(s.frame.Blocks, wire.Block{
			SID: uint32(i + 1), N: rows.Len(), DT0: wire.DT0(rows.T[0], t0, workload.Tick), Data: s.columns[start:],
		})
	}
	s.frame.Run, s.frame.Seq, s.frame.Clk, s.frame.T0 = id.Run{1, 2, 3, 4, 5, 6, 7, 8}, 12345, 1, t0
	return s.frame.Append(dst)
}

// decode reads a frame down to its values.
func (w *load) decode(b []byte, s *scratch) error {
	if err := s.frame.Parse(b); err != nil {
		return err
	}
	for i, blk := range s.frame.Blocks {
		have := &w.series[i]
		first := wire.FirstTick(s.frame.T0, blk.DT0, workload.Tick)
		if err := wire.ParseColumns(blk.Data, blk.N, shape(&have.Rows), have.Grid, first, &s.rows); err != nil {
			return err
		}
	}
	return nil
}

// shape is what the schema would say of the columns.
func shape(r *wire.Rows) wire.Shape {
	if len(r.Texts) == 0 {
		return wire.Numbers(len(r.V))
	}
	return wire.ShapeOf([]wire.Column{{Kind: wire.KindText}, {Kind: wire.KindFloat}})
}

type scratch struct {
	frame   wire.Frame
	columns []byte
	rows    wire.Rows

	packer   wire.Packer
	unpacker wire.Unpacker
}
