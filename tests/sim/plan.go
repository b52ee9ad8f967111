package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/edge/buffer"
)

// reserve is the free space that a gateway's buffer keeps.
const reserve = 1 << 20

// blockedLeast is long enough for a gateway to come again, over TCP if UDP is
// blocked.
const blockedLeast = 5 * time.Second

// wrong are what clocks say at the start of a board: nothing is wrong with most,
// some have no battery, and one is far ahead.
var wrong = []time.Time{{}, {}, {}, time.Unix(0, 0), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}

// Plan is everything that a seed decides before a run.
type Plan struct {
	Seed     uint64
	Gateways []GatewayPlan
	Cloud    CloudPlan
	Length   time.Duration // of the troubled time; healing follows
	Events   []Event       // by time
}

// GatewayPlan is the configuration of a gateway.
type GatewayPlan struct {
	Site     int // gateways of one number share a site
	Mode     buffer.Mode
	Interval time.Duration // of commits
	Linger   time.Duration
	Limit    int64
	Devices  int
	Every    time.Duration // between readings
	Restart  time.Duration // how long it stays down
	RTC      time.Time     // what its clock says at its start, which nobody vouches for until it is set; zero for the right time
}

// CloudPlan is the configuration of the nodes and their store.
type CloudPlan struct {
	Nodes            int // that share the shards; 0 for one that has them all, and one that takes them over
	Shards           int
	SnapshotEvery    time.Duration
	SnapshotMessages int
	Sync             time.Duration // of the journal's store
	AckTimeout       time.Duration
}

// Event is something that happens to the line.
type Event struct {
	At      time.Duration
	Kind    EventKind
	Gateway int
	For     time.Duration // of what ends again
	N       int           // steps, or a step's kind
	Number  int           // that a command brings
	P       float64
	After   bool
	Weather weather
}

// EventKind says what happens.
type EventKind uint8

// The events.
const (
	Weather        EventKind = iota // the network changes: Weather
	Blackout                        // a gateway has no link: For
	GatewayCrash                    // its power is cut; After: and the kernel starts anew
	GatewayCrashAt                  // its power is cut at its Nth durable step from now
	GatewayRestart                  // a clean stop and start; After: of the kernel, too
	ClockStep                       // its clock is set off by For
	DiskFull                        // its file system is at the reserve: For
	BitFlips                        // its memory flips bits of frames: P, For
	CloudCrash                      // power cut
	JournalCrashAt                  // power cut at the next steps of kind N, at the third of them; After it was stored
	HistoryCrash                    // power cut at the next write to history: crashPoint N
	JournalFaults                   // answers get lost: P, For
	Takeover                        // the other node claims the shards; the old one is blind For
	Rubbish                         // a stranger with a valid certificate sends random bytes
	CommandCrash                    // a gateway's power is cut when a command is next at its step N; After it is durable
	LostAcks                        // a gateway sends and hears nothing: For
	Unplug                          // a gateway's counter N does not answer: For
	Flood                           // a gateway samples N KiB of noise at once, without a link: For
	Rebind                          // a NAT gives a gateway another address
	UDPBlocked                      // a gateway's UDP does not pass: For
	TwoGates                        // another gate has a gateway's connections, while the first is slow with its frames: For
	Redirect                        // a gateway starts anew as its node is deposed, which tells it where to go; that node is blind For
	troubles                        // what follows is none

	Order // somebody wants a gateway's device N to do Number within For; After: and asks again
	Write // the document N of a gateway's site is written, in version Number; After: deleted

	Wiped         // a gateway gets an empty card
	RestoredCard  // a gateway's card is copied, and after For put back to that
	ClonedCard    // another board starts with a copy of a gateway's card
	RestoredCloud // the cloud is copied, and after For put back to that

	NodeKilled   // the node of slot N dies, and is started again after For
	NodeStopped  // it gives its shards away and ends, and is started again after For
	NodePaused   // its process stands still: For
	NodeCut      // it reaches neither the store nor the other nodes: For
	NodeDrained  // it is to be empty: For
	BeatsLost    // messages between nodes are lost: P, For
	DeathAt      // the node dies that next comes to the moment N of the protocol
	clusterKinds // what follows is none
	eventKinds   = clusterKinds
)

func (k EventKind) String() string {
	return [eventKinds]string{
		"weather", "blackout", "gateway crash", "gateway crash at step", "gateway restart", "clock step", "disk full", "bit flips",
		"cloud crash", "journal crash at step", "history crash", "journal faults", "takeover", "rubbish",
		"command crash", "lost acks", "unplug", "flood", "rebind", "udp blocked", "two gates", "redirect", "", "order", "write", "wiped", "restored card", "cloned card", "restored cloud",
		"node killed", "node stopped", "node paused", "node cut off", "node drained", "beats lost", "death at",
	}[k]
}

func (e Event) String() string {
	return fmt.Sprintf("%s: gateway %d, for %s, n %d, number %d, p %.3f, after %t, weather %+v", e.Kind, e.Gateway, e.For, e.N, e.Number, e.P, e.After, e.Weather)
}

// Draw makes the plan of a seed.
func Draw(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x706c616e))
	p := drawLine(seed, r)
	all := make([]EventKind, troubles)
	for k := range all {
		all[k] = EventKind(k)
	}
	for range 4 + r.IntN(12) {
		p.Events = append(p.Events, p.event(r, all))
	}
	p.orders(r)
	p.documents(r)
	p.sort()
	return p
}

func (p *Plan) sort() {
	slices.SortStableFunc(p.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
}

// drawLine draws what there is, and for how long.
func drawLine(seed uint64, r *rand.Rand) Plan {
	p := Plan{Seed: seed, Length: between(r, 15*time.Second, 40*time.Second)}
	p.Cloud = CloudPlan{
		Shards: 1 + r.IntN(2), SnapshotEvery: between(r, time.Second, 8*time.Second), SnapshotMessages: 20 + r.IntN(300),
		Sync: between(r, 0, 5*time.Millisecond), AckTimeout: between(r, 200*time.Millisecond, 2*time.Second),
	}
	for range 1 + r.IntN(2) {
		p.Gateways = append(p.Gateways, GatewayPlan{
			Site: r.IntN(2), Mode: buffer.Mode(r.IntN(2)), Interval: between(r, 100*time.Millisecond, time.Second),
			Linger: between(r, 5*time.Millisecond, 100*time.Millisecond), Limit: gatewayMemory + int64(r.IntN(1<<20)),
			Devices: 1 + r.IntN(3), Every: between(r, 40*time.Millisecond, 250*time.Millisecond), Restart: between(r, 50*time.Millisecond, 3*time.Second),
		})
	}
	for i := range p.Gateways {
		p.Gateways[i].RTC = wrong[r.IntN(len(wrong))]
	}
	return p
}

// event draws one of the kinds.
func (p *Plan) event(r *rand.Rand, kinds []EventKind) Event {
	e := Event{
		At: between(r, time.Second, p.Length), Kind: kinds[r.IntN(len(kinds))], Gateway: r.IntN(len(p.Gateways)),
		For: between(r, 200*time.Millisecond, 8*time.Second), After: r.IntN(2) == 0,
	}
	switch e.Kind {
	case Weather:
		e.Weather = weather{loss: r.Float64() * 0.15, duplicate: r.Float64() * 0.05, delay: between(r, time.Millisecond, 150*time.Millisecond), jitter: between(r, 0, 50*time.Millisecond)}
	case GatewayCrashAt:
		e.N = 1 + r.IntN(20)
	case Unplug:
		e.N = r.IntN(3)
	case UDPBlocked, Redirect:
		e.For += blockedLeast
	case Flood:
		e.N = 400 + r.IntN(1200)
	case ClockStep:
		e.For = time.Duration(r.Int64N(int64(20*time.Minute))) - 10*time.Minute
	case BitFlips:
		e.P = r.Float64() * 0.2
	case JournalFaults:
		e.P = r.Float64() * 0.1
	case JournalCrashAt:
		e.N = int(journaltest.PublishData) + r.IntN(int(journaltest.PutKey))
	case CommandCrash:
		e.N = r.IntN(int(commandSteps))
	case HistoryCrash:
		e.N = int(beforeWrite) + r.IntN(int(afterWrite))
	}
	return e
}

// orders adds commands, some of them two to one device in a row. Most go to
// the devices that take numbers.
func (p *Plan) orders(r *rand.Rand) {
	for range 3 + r.IntN(10) {
		e := Event{
			At: between(r, time.Second, p.Length), Kind: Order, Gateway: r.IntN(len(p.Gateways)), N: r.IntN(int(Relay) + 1),
			For: between(r, 100*time.Millisecond, maxSpan), After: r.IntN(4) == 0,
		}
		if r.IntN(8) == 0 {
			e.N = r.IntN(int(whichs))
		}
		if r.IntN(3) == 0 { // and its gateway does not survive it
			p.Events = append(p.Events, Event{At: e.At - time.Millisecond, Kind: CommandCrash, Gateway: e.Gateway, N: r.IntN(int(commandSteps)), After: r.IntN(2) == 0})
		}
		for range 1 + r.IntN(2) {
			p.Events = append(p.Events, e)
		}
	}
	for i := range p.Events {
		p.Events[i].Number = i + 1 // no two commands bring the same
	}
}

// documents lets most documents be there from the beginning, changes them and
// takes some away.
func (p *Plan) documents(r *rand.Rand) {
	for i := range p.Gateways {
		for n := range written {
			if r.IntN(4) > 0 {
				p.Events = append(p.Events, Event{At: between(r, 0, 2*time.Second), Kind: Write, Gateway: i, N: n, Number: r.IntN(versions)})
			}
		}
	}
	for range 2 + r.IntN(8) {
		p.Events = append(p.Events, Event{
			At: between(r, time.Second, p.Length), Kind: Write, Gateway: r.IntN(len(p.Gateways)),
			N: r.IntN(len(written)), Number: r.IntN(versions), After: r.IntN(4) == 0,
		})
	}
}

func between(r *rand.Rand, a, b time.Duration) time.Duration {
	return a + time.Duration(r.Int64N(int64(b-a)+1))
}
