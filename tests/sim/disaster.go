package sim

import (
	"math/rand/v2"
	"time"
)

// disasters are what takes more than a crash may.
var disasters = []EventKind{Wiped, RestoredCard}

// mild is what happens beside them: nothing else that ends a gateway's process,
// so that it is known what was lost with what, and nothing that makes frames
// come to the log behind a later hello.
var mild = []EventKind{Weather, Blackout, ClockStep, BitFlips, CloudCrash, HistoryCrash, Takeover, LostAcks, Unplug, Rebind, UDPBlocked}

// DrawDisaster makes the plan of a seed in which something is lost for good.
// Nobody gives orders and nobody writes documents meanwhile.
func DrawDisaster(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x6c6f7373))
	p := drawLine(seed, r)
	p.Length += 10 * time.Second
	for i := range p.Gateways {
		p.Gateways[i].Restart += time.Second // what is on its way has come
	}
	for range 2 + r.IntN(8) {
		p.Events = append(p.Events, p.event(r, mild))
	}
	at := between(r, 2*time.Second, p.Length/2)
	p.Events = append(p.Events, Event{
		At: at, Kind: disasters[seed%uint64(len(disasters))], Gateway: r.IntN(len(p.Gateways)), For: between(r, time.Second, p.Length-at-time.Second),
	})
	p.sort()
	return p
}
