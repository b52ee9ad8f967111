package main

import (
	"math"
	"math/rand/v2"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// series is the rows of one device, quantised as the HAL does it, and the
// spacing that its schema declares.
type series struct {
	rows wire.Rows
	grid uint64
}

// workload is what one frame carries.
type workload struct {
	name     string
	readings int
	series   []series
}

// gateway is 20 devices of 5 points at 1 Hz with ticks of 1 ms and a timer
// jitter of 0.2 ms: temperature (1/16 degC), humidity (0.01 %), pressure
// (0.01 hPa), an energy counter and a switch.
func gateway(readings int) workload {
	const devices, points, period = 20, 5, 1000
	rng := rand.New(rand.NewPCG(42, 0))
	w := workload{name: "gw", readings: readings}
	for d := range devices {
		n := max(readings/(devices*points), 1)
		columns := [][]int64{temperature(rng, n), humidity(rng, n), pressure(rng, n), counter(rng, n), toggles(rng, n)}
		w.series = append(w.series, makeSeries(rng, n, 3_600_000+int64(d)*37, period, 0.2, columns))
	}
	return w
}

// motion is one device of six axes at 100 Hz: a slow swing under the noise of
// an MPU-6050.
func motion(readings int) workload {
	const axes = 6
	rng := rand.New(rand.NewPCG(42, 0))
	n := max(readings/axes, 1)
	columns := make([][]int64, axes)
	for i := range columns {
		columns[i] = acceleration(rng, n)
	}
	return workload{"imu6", n * axes, []series{makeSeries(rng, n, 3_600_000, 10, 0.06, columns)}}
}

func makeSeries(rng *rand.Rand, n int, first, period int64, jitter float64, columns [][]int64) series {
	s := series{grid: uint64(period)}
	row := make([]int64, len(columns))
	for i := range n {
		for c := range columns {
			row[c] = columns[c][i]
		}
		late := math.Abs(rng.NormFloat64() * jitter)
		s.rows.Append(first+int64(i)*period+int64(math.Round(late)), 0, row)
	}
	return s
}

// walk is a random walk under white noise, in units of the resolution.
func walk(rng *rand.Rand, n int, start, step, noise, resolution float64) []int64 {
	out := make([]int64, n)
	for i := range out {
		start += rng.NormFloat64() * step
		out[i] = int64(math.Round((start + rng.NormFloat64()*noise) / resolution))
	}
	return out
}

func temperature(rng *rand.Rand, n int) []int64 { return walk(rng, n, 21, 0.01, 0.02, 0.0625) }
func humidity(rng *rand.Rand, n int) []int64    { return walk(rng, n, 45, 0.02, 0.04, 0.01) }
func pressure(rng *rand.Rand, n int) []int64    { return walk(rng, n, 1013.25, 0.003, 0.02, 0.01) }

// counter grows by a Poisson number of mean 3 a row.
func counter(rng *rand.Rand, n int) []int64 {
	out := make([]int64, n)
	total := int64(1_000_000)
	for i := range out {
		for p := rng.Float64(); p > math.Exp(-3); p *= rng.Float64() {
			total++
		}
		out[i] = total
	}
	return out
}

func toggles(rng *rand.Rand, n int) []int64 {
	out := make([]int64, n)
	var state int64
	for i := range out {
		if rng.Float64() < 0.02 {
			state = 1 - state
		}
		out[i] = state
	}
	return out
}

func acceleration(rng *rand.Rand, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		swing := 0.2 * math.Sin(float64(i)*2*math.Pi/250)
		out[i] = int64(math.Round((swing + rng.NormFloat64()*0.0028) * 16384))
	}
	return out
}

// encode makes the frame, reusing what scratch holds.
func (w *workload) encode(dst []byte, s *scratch) []byte {
	const t0, tick = 3_600_000, 1_000_000
	s.columns, s.frame.Blocks = s.columns[:0], s.frame.Blocks[:0]
	for i := range w.series {
		rows := &w.series[i].rows
		start := len(s.columns)
		s.columns = wire.AppendColumns(s.columns, rows, w.series[i].grid)
		s.frame.Blocks = append(s.frame.Blocks, wire.Block{
			SID: uint32(i + 1), N: rows.Len(), DT0: wire.DT0(rows.T[0], t0, tick), Data: s.columns[start:],
		})
	}
	s.frame.Run, s.frame.Seq, s.frame.Clk, s.frame.T0 = id.Run{1, 2, 3, 4, 5, 6, 7, 8}, 12345, 1, t0
	return s.frame.Append(dst)
}

// decode reads a frame down to its values.
func (w *workload) decode(b []byte, s *scratch) error {
	const tick = 1_000_000
	if err := s.frame.Parse(b); err != nil {
		return err
	}
	for i, blk := range s.frame.Blocks {
		have := &w.series[i]
		first := wire.FirstTick(s.frame.T0, blk.DT0, tick)
		if err := wire.ParseColumns(blk.Data, blk.N, len(have.rows.V), have.grid, first, &s.rows); err != nil {
			return err
		}
	}
	return nil
}

type scratch struct {
	frame   wire.Frame
	columns []byte
	rows    wire.Rows
}
