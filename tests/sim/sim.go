package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/shared/id"
	edgeidentity "github.com/atrium-iot/atrium/shared/identity"
)

const (
	// calmTime is how long the healed line runs on with live readings.
	calmTime = 3 * time.Second
	// emptyTime is how long a backlog has to be acked while the line goes on: a
	// connection may have to be given up before.
	emptyTime = 10 * time.Second
	// drainTime is the longest wait for backlogs after healing: connections
	// that are given up late, and the backoff after them.
	drainTime = 3 * time.Minute
	// settleTime is the longest wait for the owner to apply the rest.
	settleTime = time.Minute
)

// Sabotage breaks the line on purpose, to prove that the checkers notice.
type Sabotage struct {
	LazySync bool                                        // the journal acks before it syncs
	AckEarly bool                                        // the gate's journal calls done before it published
	Unfenced bool                                        // owners publish without their fence
	History  func(*history.Projections)                  // changes what is written
	Replayed func([]journal.Message) []journal.Message   // changes what is replayed at the end
	Tighter  int64                                       // bytes less than their bound is what gateways are held to
	Eager    bool                                        // commands are sent before anything of them is in the log
	Forgets  bool                                        // gateways do not keep what they say of commands
	Numb     bool                                        // stamps, dials and relays feel nothing
	Amnesia  bool                                        // at the end gateways know nothing of commands
	Catalog  func([]journal.Document) []journal.Document // changes what owners see
	Stranger id.Gateway                                  // also counts as one that only sends rubbish

	Records   func([]journal.Record) []journal.Record // changes what owners read
	Astray    bool                                    // gates send gateways to where nobody is
	Severed   bool                                    // a NAT or a block of UDP cuts its gateway off for good
	Forgetful bool                                    // gateways do not keep which runs they let go
	Uncounted bool                                    // rows do not say how many were withheld before them
}

// Sim is one run of the line.
type Sim struct {
	plan     Plan
	trace    *trace
	net      *network
	tap      *tap
	books    *books
	cloud    *cloud
	gateways []*gateway
	stranger *stranger
	office   office
	lossMu   sync.Mutex
	losses   []loss // in order
	sabotage Sabotage
	pending  sync.WaitGroup // events that end again
	healed   chan struct{}
}

// Outcome is what a run found.
type Outcome struct {
	Complaints []string // what broke, first things first
	Report     verify.Report
	Tally      Tally
	trace      *trace
}

// Tally counts what a run put the line through; runs in which nothing happens
// prove nothing.
type Tally struct {
	Duplicates int // frames and gaps that were in a log more than once
	Purged     int // messages that owners removed from logs
	Nodes      int // starts of cloud nodes
	Agents     int // starts of gateways
	Refused    int // owners that learned of their loss by the fence or the log
	Done       int // commands by their end
	Unknown    int
	Expired    int // or unanswered
	Windows    int
	LateParts  int // of windows
	Alarms     int // raised and ended
	Again      int // times that a dial was turned again after a crash
	Events     int // of devices' health
	Withheld   int // numbers of counters that no row holds
	Thinned    int // rows that pressure took
	Unvouched  int // rows whose time their gateway did not know
	Redirects  int // gateways that a gate told of another
	Shared     int // runs whose frames several nodes took
	Rebinds    int // sockets that were seen at another address
	TCP        int // connections over TCP
	Quota      int // ranges of the ledger that a buffer had no room for

	Epochs int            // claims to shards that came to a barrier
	Deaths map[Moment]int // of nodes, by where in the protocol they were
}

// Trace returns the last n lines of the story, all for a negative n.
func (o Outcome) Trace(n int) []string { return o.trace.tail(n) }

// Run carries out a plan; dir is for the CA's files. It must run in a synctest
// bubble, which its last goroutine leaves before it returns.
func Run(ctx context.Context, plan Plan, sabotage Sabotage, dir string) (Outcome, error) {
	s, err := build(plan, sabotage, dir)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{trace: s.trace}
	ctx, cancel := context.WithCancel(ctx)
	var tapping, running sync.WaitGroup
	for i := range plan.Cloud.Shards {
		tapping.Go(func() { s.tap.follow(ctx, i) })
	}
	clouds, stopCloud := context.WithCancel(ctx)
	running.Go(func() { s.cloud.run(clouds) })
	edges, stopEdges := context.WithCancel(ctx)
	for _, g := range s.gateways {
		s.trace.event("%s", g)
		running.Go(func() { g.run(edges) })
	}
	running.Go(func() { s.watch(clouds) })

	s.trouble(ctx)
	s.heal()
	time.Sleep(calmTime)
	s.drain(ctx, stopEdges)
	out.Report = s.check(ctx, &out.Tally)
	stopCloud()
	running.Wait()
	s.checkReplay(ctx)
	cancel()
	tapping.Wait()
	out.Complaints = s.trace.broken()
	return out, nil
}

func build(plan Plan, sabotage Sabotage, dir string) (*Sim, error) {
	s := &Sim{plan: plan, trace: newTrace(), net: newNetwork(plan.Seed), sabotage: sabotage, healed: make(chan struct{}), office: office{desk: make(chan struct{}, 1), last: map[docName]string{}}}
	s.books = newBooks(s.trace)
	ca, err := identity.OpenCA(filepath.Join(dir, "ca"))
	if err != nil {
		return nil, err
	}
	faults := newFaults(plan.Seed)
	mem := journaltest.NewMem(journaltest.Config{
		Fault: faults.strike, Sync: plan.Cloud.Sync, AckTimeout: plan.Cloud.AckTimeout, LazySync: sabotage.LazySync, Seed: plan.Seed,
	})
	s.tap = newTap(s.trace, mem, plan.Cloud.Shards)
	records := newRecords(s.trace, plan.Seed)
	records.sabotage = sabotage.History
	s.cloud = &cloud{
		cfg: plan.Cloud, trace: s.trace, tap: s.tap, net: s.net, ca: ca, mem: mem, faults: faults, history: records, sabotage: sabotage, changed: make(chan struct{}),
		bus: journaltest.NewBus(), deaths: newDeaths(),
	}
	s.cloud.bus.Lose(s.cloud.loses)
	faults.down = s.cloud.down
	records.crash = s.cloud.powerCut
	for i := range plan.Gateways {
		if err := s.addGateway(i, ca); err != nil {
			return nil, err
		}
	}
	for _, e := range plan.Events {
		if e.Kind == ClonedCard {
			if err := s.addClone(s.gateways[e.Gateway]); err != nil {
				return nil, err
			}
		}
	}
	s.tap.distrust(sabotage.Stranger)
	s.stranger, err = newStranger(s, ca)
	return s, err
}

func (s *Sim) addGateway(i int, ca *identity.CA) error {
	cfg := s.plan.Gateways[i]
	name := id.Gateway{Site: id.Site([]string{"hq", "lab"}[cfg.Site]), Name: fmt.Sprintf("gw%d", i)}
	creds, err := credentials(ca, name)
	if err != nil {
		return err
	}
	return s.addBoard(cfg, name, name.Name, creds)
}

// addClone adds a board for a copy of a gateway's card, which stays in the
// drawer until then. It has devices of its own, by which readings are told
// apart, and all else of the card's.
func (s *Sim) addClone(of *gateway) error {
	err := s.addBoard(of.cfg, of.name, of.name.Name+"-clone", of.creds)
	if err == nil {
		g := s.gateways[len(s.gateways)-1]
		g.inserted, of.clone = make(chan struct{}), g
	}
	return err
}

func (s *Sim) addBoard(cfg GatewayPlan, name id.Gateway, label string, creds *edgeidentity.Credentials) error {
	p, err := profiles.Load("atrium.counter")
	if err != nil {
		return err
	}
	b, err := newBoard(name.Site, label, cfg.Devices)
	if err != nil {
		return err
	}
	b.panel.numb = s.sabotage.Numb
	i := len(s.gateways)
	g := &gateway{
		forgets: s.sabotage.Forgets, uncounted: s.sabotage.Uncounted, forgetful: s.sabotage.Forgetful, books: s.books, cfg: cfg, name: name, index: i, trace: s.trace, net: s.net, tap: s.tap, creds: creds, profile: p, board: b,
		disk: buffertest.NewDisk(s.plan.Seed + uint64(i)), rng: rand.New(rand.NewPCG(s.plan.Seed, uint64(i))),
		boots: map[id.Boot]time.Time{}, restart: make(chan bool, 1),
	}
	for slot := range s.cloud.slots() {
		g.cloud = append(g.cloud, nodeAddr(slot).String())
	}
	g.reboot()
	s.gateways = append(s.gateways, g)
	return nil
}

func credentials(ca *identity.CA, name id.Gateway) (*edgeidentity.Credentials, error) {
	issued, err := ca.Gateway(name)
	if err != nil {
		return nil, err
	}
	return edgeidentity.Parsed(issued.Cert, issued.Key, issued.CA)
}

// trouble lets the plan's events happen, each at its time.
func (s *Sim) trouble(ctx context.Context) {
	begin := time.Now()
	for _, e := range s.plan.Events {
		time.Sleep(time.Until(begin.Add(e.At)))
		s.trace.event("%s", e)
		s.do(ctx, e)
	}
	time.Sleep(time.Until(begin.Add(s.plan.Length)))
}

// during does something for a time, or until the line is healed.
func (s *Sim) during(d time.Duration, begin, end func()) {
	begin()
	s.pending.Go(func() {
		select {
		case <-time.After(d):
		case <-s.healed:
		}
		end()
	})
}

func (s *Sim) do(ctx context.Context, e Event) {
	g, c := s.gateways[e.Gateway], s.cloud
	switch e.Kind {
	case Weather:
		s.net.set(e.Weather)
	case Blackout:
		s.during(e.For, func() { s.net.blackout(g.host(), true) }, func() { s.net.blackout(g.host(), false) })
	case LostAcks:
		s.during(e.For, func() { s.net.deafen(g.host(), true) }, func() { s.net.deafen(g.host(), false) })
	case Unplug:
		n := e.N % len(g.board.devices)
		s.during(e.For, func() { g.board.unplug(n, true) }, func() { g.board.unplug(n, false) })
	case Rebind:
		s.net.rebind(g.host())
		s.net.deafen(g.host(), s.sabotage.Severed)
	case UDPBlocked:
		s.during(e.For, func() { s.net.blockUDP(g.host(), true) }, func() {
			s.net.blockUDP(g.host(), false)
			s.net.deafen(g.host(), s.sabotage.Severed)
		})
	case TwoGates:
		c.delay(c.charge(), e.For/8, e.For)
		c.takeover(e.For)
		s.during(e.For, func() { s.net.steer(g.host(), true) }, func() { s.net.steer(g.host(), false) })
	case Redirect:
		c.takeover(e.For)
		g.cleanRestart(false)
	case Flood:
		s.during(e.For, func() { s.net.blackout(g.host(), true) }, func() { s.net.blackout(g.host(), false) })
		s.pending.Go(func() { g.flood(e.N, s.healed) })
	case GatewayCrash:
		g.crash(e.After)
	case GatewayCrashAt:
		g.crashAt(e.N)
	case GatewayRestart:
		g.cleanRestart(e.After)
	case ClockStep:
		g.stepClock(e.For)
	case DiskFull:
		s.during(e.For, func() { g.fill(true) }, func() { g.fill(false) })
	case BitFlips:
		s.during(e.For, func() { g.setFlips(e.P) }, func() { g.setFlips(0) })
	case CloudCrash:
		c.powerCut()
	case JournalCrashAt:
		fault := journaltest.CrashBefore
		if e.After {
			fault = journaltest.CrashAfter
		}
		c.faults.arm(journaltest.StepKind(e.N), 3, fault)
	case HistoryCrash:
		c.history.arm(crashPoint(e.N))
	case JournalFaults:
		p := e.P / 4
		s.during(e.For, func() { c.faults.setRates(journaltest.Rates{Fail: p, LostAck: p, LostMessage: p, Late: p}) }, func() { c.faults.setRates(journaltest.Rates{}) })
	case Takeover:
		c.takeover(e.For)
	case Rubbish:
		s.pending.Go(func() { s.stranger.visit(ctx) })
	case CommandCrash:
		g.crashAtCommand(commandStep(e.N), e.After)
	case Order:
		s.pending.Go(func() { s.order(ctx, e) })
	case Write:
		s.pending.Go(func() { s.write(ctx, e) })
	case Wiped:
		s.replaceCard(g, nil)
	case RestoredCard:
		var image []byte
		s.during(e.For, func() { image = g.disk.Copy() }, func() { s.replaceCard(g, image) })
	case ClonedCard:
		s.insertClone(g)
	case RestoredCloud:
		var b backup
		s.during(e.For, func() { b = c.backup() }, func() { s.restoreCloud(b) })
	default:
		s.clusterEvent(ctx, e)
	}
}

// heal ends all trouble.
func (s *Sim) heal() {
	s.trace.event("healing")
	close(s.healed)
	s.net.set(calm())
	s.cloud.faults.arm(0, 0, 0)
	s.cloud.history.arm(noCrash)
	s.cloud.deaths.disarm()
	for _, g := range s.gateways {
		g.disk.CrashAt(0)
		g.spareCommands()
	}
	s.pending.Wait()
	if len(s.losses) > 0 { // that a gateway holds nothing more of a run it says when it connects again
		time.Sleep(emptyTime)
		s.cloud.powerCut()
	}
}

// drain ends sampling as a clean stop does, waits until the cloud has acked
// everything, and then until it has applied it.
func (s *Sim) drain(ctx context.Context, stopEdges func()) {
	s.trace.event("draining")
	wait, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := s.quiet(ctx); err != nil {
		s.trace.complain("commands", "the line does not come to rest after healing: %v", err)
	}
	var all sync.WaitGroup
	for _, g := range s.gateways {
		all.Go(func() {
			p, err := g.up(wait)
			if err == nil {
				g.kept, err = p.kept()
			}
			if s.sabotage.Amnesia {
				g.kept = nil
			}
			if err == nil {
				err = errors.Join(p.seal(wait), p.buf.Drained(wait))
			}
			if err != nil {
				s.trace.complain("I1", "%s does not drain after healing: %v", g.name, err)
			}
		})
	}
	all.Wait()
	stopEdges()
	for _, g := range s.gateways {
		if p := g.current(); p != nil {
			p.end(true)
		}
	}
	var err error
	for begin := time.Now(); time.Since(begin) < settleTime; time.Sleep(100 * time.Millisecond) {
		if err = s.cloud.settled(ctx); err == nil {
			return
		}
	}
	s.trace.complain("I1", "the cloud does not settle after healing: %v", err)
}
