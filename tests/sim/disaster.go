package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// disasters are what takes more than a crash may.
var disasters = []EventKind{Wiped, RestoredCard, RestoredCloud, ClonedCard}

// mild is what happens beside them: nothing else that ends a gateway's process,
// so that it is known what was lost with what, and nothing that makes frames
// come to the log behind a later hello.
var mild = []EventKind{Weather, Blackout, ClockStep, BitFlips, CloudCrash, HistoryCrash, Takeover, LostAcks, Unplug, Rebind, UDPBlocked}

// twinTime is as long as a gateway waits that another one has superseded: each
// of two comes again.
const twinTime = 90 * time.Second

// DrawDisaster makes the plan of a seed in which something is lost for good.
// Nobody gives orders and nobody writes documents meanwhile.
func DrawDisaster(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x6c6f7373))
	p := drawLine(seed, r)
	p.Length += 10 * time.Second
	for i := range p.Gateways {
		p.Gateways[i].Restart += time.Second // what is on its way has come
	}
	kind, beside := disasters[seed%uint64(len(disasters))], mild
	if kind == RestoredCloud {
		beside = append(slices.Clone(mild), GatewayRestart, GatewayRestart) // after which runs are gone
	}
	if kind == ClonedCard {
		p.Length += twinTime
		for i := range p.Gateways {
			p.Gateways[i].RTC = time.Time{} // of two boards at once nobody knows which boot was first
		}
	}
	for range 2 + r.IntN(8) {
		p.Events = append(p.Events, p.event(r, beside))
	}
	at := between(r, 2*time.Second, 20*time.Second)
	p.Events = append(p.Events, Event{
		At: at, Kind: kind, Gateway: r.IntN(len(p.Gateways)), For: between(r, time.Second, p.Length-at-time.Second),
	})
	p.sort()
	return p
}

// replaceCard cuts a gateway's power and changes its card for another: an empty
// one for nil, or what it held earlier.
func (s *Sim) replaceCard(g *gateway, image []byte) {
	if p := g.current(); p != nil {
		p.powerCut()
	}
	g.disk.Put(image)
	g.reboot()
	s.lost(g)
}

// insertClone starts a board with a copy of a gateway's card. The runs on it are
// its own no less than the other's: what one calls ended the other goes on with.
func (s *Sim) insertClone(of *gateway) {
	of.clone.disk.Put(of.disk.Copy())
	of.clone.reboot()
	s.lost(of)
	close(of.clone.inserted)
}
