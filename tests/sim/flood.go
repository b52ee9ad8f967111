package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// noisy is how many bits of a value of noise are drawn; above them it grows,
	// as every value of a twin here does (I4).
	noisy = 40
	// noiseEvery is between two bursts of rows, and noiseRows of how many.
	noiseEvery = time.Millisecond
	noiseRows  = 4
	noiseTick  = 100 * time.Microsecond
)

// flood has a gateway sample so many KiB that do not compress, as long as its
// process lives: more than its buffer may hold without a link.
func (g *gateway) flood(kib int, healed <-chan struct{}) {
	p := g.current()
	if p == nil {
		return
	}
	body := wire.Body{Profile: "test.noise", Version: 1, Tick: uint64(noiseTick)}
	for i := range wire.MaxColumns {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point(fmt.Sprintf("p%d", i)), Unit: "1", Mantissa: 1})
	}
	series, err := p.buf.Series(g.board.noise, body, [32]byte{1}, 0)
	if err != nil {
		return // it is ending
	}
	rng := rand.NewPCG(uint64(kib), uint64(g.index))
	row := make([]int64, wire.MaxColumns)
	for left := kib << 10 / (len(row) * noisy / 8); left > 0; left -= noiseRows {
		at := int64(time.Since(p.boot) / noiseTick)
		for i := range int64(noiseRows) {
			n := g.noise.Add(1)
			for c := range row {
				row[c] = n<<noisy | int64(rng.Uint64()>>(64-noisy))
			}
			if series.Append(at+i, 0, row, 0) != nil {
				return
			}
		}
		select {
		case <-time.After(noiseEvery):
		case <-healed:
			return
		case <-p.crashed:
			return
		}
	}
}
