package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

const (
	// cycle is the rows of a device that are generated; they are sent again and
	// again, with times that go on. No batch holds more, so that zstd finds no
	// value that only the generator repeated.
	cycle = 10_000
	// batchBytes is how large a batch gets: NATS's own advice for JetStream, and
	// half of its largest message.
	batchBytes = 512 << 10
	// ticks of a millisecond a second
	perSecond = 1000
)

// start is the time of tick 0.
var start = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// series is the workload of a gateway, by device.
type series struct {
	all []workload.Series
	lap int64
}

// tick is when a row was sampled.
func (s *series) tick(device, row int) int64 {
	d := &s.all[device]
	return d.Rows.T[row] + s.lap*cycle*int64(d.Grid)
}

// appendJSON writes a reading as the message of its own topic.
func appendJSON(dst []byte, tick, v int64, c *wire.Column) []byte {
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, start.UnixMilli()+tick, 10)
	dst = append(dst, `,"v":`...)
	if c.Kind == wire.KindBoolean {
		dst = strconv.AppendBool(dst, v != 0)
	} else {
		dst = strconv.AppendFloat(dst, float64(v*int64(c.Mantissa))*math.Pow10(c.Exponent), 'g', 9, 64)
	}
	return append(dst, '}')
}

// The labels of SenML in CBOR: RFC 8428, table 4.
const (
	baseName, baseTime = -2, -3
	value, boolean, at = 2, 4, 6
)

// appendSenML writes rows [from, to) of all devices as one SenML pack: a base
// record for each point, then its values, which is its smallest form.
func (s *series) appendSenML(dst []byte, from, to int) []byte {
	body := workload.Body()
	dst = appendHead(dst, 4, uint64(workload.Devices*workload.Points*(to-from)))
	for d := range s.all {
		rows := &s.all[d].Rows
		base := s.tick(d, from)
		for p := range body.Columns {
			c := &body.Columns[p]
			for i := from; i < to; i++ {
				fields := uint64(2)
				if i == from {
					fields = 4
				}
				dst = appendHead(dst, 5, fields)
				if i == from {
					dst = appendText(appendInt(dst, baseName), fmt.Sprintf("%s:%s", workload.Device("bench", d), c.Point))
					dst = appendDecimal(appendInt(dst, baseTime), start.UnixMilli()+base, -3)
				}
				dst = appendDecimal(appendInt(dst, at), s.tick(d, i)-base, -3)
				switch v := rows.V[p][i]; c.Kind {
				case wire.KindBoolean:
					dst = append(appendInt(dst, boolean), 0xf4+byte(v&1))
				default:
					dst = appendDecimal(appendInt(dst, value), v*int64(c.Mantissa), int64(c.Exponent))
				}
			}
		}
	}
	return dst
}

// appendDecimal writes a decimal fraction (RFC 8949, 3.4.4), which SenML
// allows: it is shorter than a float, and exact.
func appendDecimal(dst []byte, mantissa, exponent int64) []byte {
	if exponent == 0 {
		return appendInt(dst, mantissa)
	}
	dst = append(dst, 0xc4, 0x82)
	return appendInt(appendInt(dst, exponent), mantissa)
}

func appendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendHead(dst, 1, uint64(-1-v))
	}
	return appendHead(dst, 0, uint64(v))
}

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, 3, uint64(len(s))), s...)
}

// appendHead writes the head of a CBOR item: RFC 8949, 3.
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return append(dst, major|25, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return append(dst, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	dst = append(dst, major|27)
	for shift := 56; shift >= 0; shift -= 8 {
		dst = append(dst, byte(n>>shift))
	}
	return dst
}

// feedReadings sends a message for each reading.
func feedReadings(p peer, s *series, until time.Time) (readings int64, err error) {
	body := workload.Body()
	var topics [workload.Devices][workload.Points]string
	for d := range topics {
		for c := range topics[d] {
			topics[d][c] = fmt.Sprintf("%s/%s", workload.Device("bench", d), body.Columns[c].Point)
		}
	}
	for ; ; s.lap++ {
		for i := range cycle {
			if !time.Now().Before(until) {
				return readings, nil
			}
			for d := range topics {
				for c := range topics[d] {
					payload := appendJSON(nil, s.tick(d, i), s.all[d].Rows.V[c][i], &body.Columns[c])
					if err := p.send(topics[d][c], payload); err != nil {
						return 0, err
					}
					readings++
				}
			}
		}
	}
}

// feedBatches sends batches of all devices, as large as batchBytes when they are
// packed.
func feedBatches(p peer, s *series, until time.Time) (readings int64, err error) {
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	const probe = cycle / 10
	pack := s.appendSenML(nil, 0, probe)
	rows := min(cycle, probe*batchBytes/len(packer.EncodeAll(pack, nil)))
	for ; ; s.lap++ {
		for from := 0; from+rows <= cycle; from += rows {
			if !time.Now().Before(until) {
				return readings, nil
			}
			pack = s.appendSenML(pack[:0], from, from+rows)
			payload := packer.EncodeAll(pack, nil)
			if err := p.send("bench/batch", payload); err != nil {
				return 0, err
			}
			readings += int64(rows * workload.Devices * workload.Points)
		}
	}
}
