// Package workload makes the readings that benchmarks move: columns whose
// statistics are a sensor's, the same in each run. It measures nothing.
package workload

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Series is the rows of one device, quantised as the HAL does it, and the
// spacing in ticks that its schema declares.
type Series struct {
	Rows wire.Rows
	Grid uint64
}

// The shape of Gateway.
const (
	Devices = 20
	Points  = 5
	Tick    = 1_000_000 // nanoseconds
	period  = 1000      // ticks between two rows
	first   = 3_600_000 // tick of the first row
)

// Body describes the columns of Gateway's devices.
func Body() wire.Body {
	return wire.Body{Profile: "bench.climate", Version: 1, Tick: Tick, Columns: []wire.Column{
		{Point: "temperature", Unit: "Cel", Mantissa: 625, Exponent: -4},
		{Point: "humidity", Unit: "%RH", Mantissa: 1, Exponent: -2},
		{Point: "pressure", Unit: "hPa", Mantissa: 1, Exponent: -2},
		{Point: "energy", Unit: "1", Kind: wire.KindCounter, Mantissa: 1},
		{Point: "switch", Unit: "1", Kind: wire.KindBoolean, Mantissa: 1},
	}}
}

// Device names the i-th device of Gateway, from 0.
func Device(site id.Site, i int) id.Device {
	return id.Device{Site: site, Name: fmt.Sprintf("d%d", i+1)}
}

// Gateway is 20 devices of 5 points at 1 Hz with ticks of 1 ms and a timer
// jitter of 0.2 ms: temperature (1/16 degC), humidity (0.01 %), pressure
// (0.01 hPa), an energy counter and a switch.
//
// rows is the rows of each device.
func Gateway(rows int) []Series {
	rng := rand.New(rand.NewPCG(42, 0))
	all := make([]Series, 0, Devices)
	for d := range Devices {
		columns := [][]int64{temperature(rng, rows), humidity(rng, rows), pressure(rng, rows), counter(rng, rows), toggles(rng, rows)}
		all = append(all, makeSeries(rng, rows, first+int64(d)*37, period, 0.2, columns))
	}
	return all
}

// MotionAxes is the columns of Motion.
const MotionAxes = 6

// Motion is one device of six axes at 100 Hz: a slow swing under the noise of
// an MPU-6050.
func Motion(rows int) Series {
	rng := rand.New(rand.NewPCG(42, 0))
	columns := make([][]int64, MotionAxes)
	for i := range columns {
		columns[i] = acceleration(rng, rows)
	}
	return makeSeries(rng, rows, first, 10, 0.06, columns)
}

func makeSeries(rng *rand.Rand, n int, first, period int64, jitter float64, columns [][]int64) Series {
	s := Series{Grid: uint64(period)}
	row := make([]int64, len(columns))
	for i := range n {
		for c := range columns {
			row[c] = columns[c][i]
		}
		late := math.Abs(rng.NormFloat64() * jitter)
		s.Rows.Append(first+int64(i)*period+int64(math.Round(late)), 0, row)
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
