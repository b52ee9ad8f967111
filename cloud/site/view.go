package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var (
	// ErrEnded says that the shard's Run has returned.
	ErrEnded = errors.New("the shard is no longer served here")
	// ErrUnknown says that the shard holds no site, gateway or device of the name.
	ErrUnknown = errors.New("unknown name")
	// ErrMoved says that the site has left the shard for another.
	ErrMoved = errors.New("the site is on its way to another shard")
	// ErrInvalid says that what was asked for can't be.
	ErrInvalid = errors.New("invalid request")
	// ErrInactive says that the shard still recovers.
	ErrInactive = errors.New("the shard is not active yet")
)

// Summary is a site in short.
type Summary struct {
	Site     id.Site
	Gateways int
	Devices  int
	Live     int // devices
	Silent   int
	Alarms   int // active ones
}

// Gateway is what is known of a gateway.
type Gateway struct {
	Gateway  id.Gateway
	Board    id.Board
	Agent    string
	Interval time.Duration // its commit interval
	HelloAt  time.Time     // of the newest connection
	SeenAt   time.Time     // of the newest record
	Runs     []Run         // live ones, in the order in which they were first seen
	Count    Count
}

// Run is a live run of a gateway.
type Run struct {
	Run   id.Run
	Class wire.Class
	State wire.RunState
	Boot  id.Boot
	Next  uint64
	Last  uint64 // the highest sequence that the gateway said to have committed
}

// Retired is what is remembered of a run that was retired.
type Retired struct {
	Gateway id.Gateway
	Run     id.Run
	Class   wire.Class
	Boot    id.Boot
	Next    uint64
}

// Count are a gateway's totals.
type Count struct {
	Frames, Readings, Suppressed, Duplicates, Late, Missing, Gaps, Dead, Retired uint64
}

// Device is a twin as it stands.
type Device struct {
	Device   id.Device
	Gateway  string // that it is bound to; "" for none
	Bind     uint64 // rank of the binding
	Profile  string // that the newest readings came by; "" before the first
	Liveness twin.Liveness
	LastAt   time.Time // arrival of the latest reading; zero for none
	Points   []Point
}

// Point is a point's reported value, when it has one, and its present quality.
type Point struct {
	Point    id.Point
	Unit     string
	Kind     wire.ColumnKind
	Held     bool // a value was reported
	Raw      int64
	Value    float64
	Text     string       // of a text point, whose Raw and Value are 0
	Quality  wire.Quality // of the value
	Now      wire.Quality // of the newest reading
	Sampled  time.Time    // of the value; Received if Suspect
	Received time.Time
	Source   wire.ClockSource
	Within   uint64 // microseconds that Sampled may be off, either way
	Suspect  bool
	Run      id.Run
	Order    twin.Order
}

// query is a question that the shard's goroutine answers between messages.
type query struct {
	f    func()
	done chan struct{}
}

func (s *Shard) ask(ctx context.Context, f func()) error {
	q := query{f, make(chan struct{})}
	select {
	case s.queries <- q:
	case <-s.ended:
		return fmt.Errorf("site: shard %d: %w", s.cfg.Shard, ErrEnded)
	case <-ctx.Done():
		return fmt.Errorf("site: shard %d: query: %w", s.cfg.Shard, ctx.Err())
	}
	<-q.done
	return nil
}

// askSite asks for something of one site.
func askSite[T any](ctx context.Context, s *Shard, name id.Site, f func(*site) (T, error)) (T, error) {
	var answer T
	var failed error
	err := s.ask(ctx, func() {
		st, ok := s.sites[name]
		if s.departed[name] != nil {
			failed = fmt.Errorf("site: %s: %w", name, ErrMoved)
			return
		}
		if !ok {
			failed = fmt.Errorf("site: %s: %w", name, ErrUnknown)
			return
		}
		answer, failed = f(st)
	})
	return answer, errors.Join(err, failed)
}

// Progress is how far a shard's owner is, in journal sequences.
type Progress struct {
	Applied  uint64        // the last message applied
	Snapshot uint64        // that the latest durable manifest stands at, 0 for none
	Readings uint64        // a count, not a sequence: applied since the claim
	Lag      uint64        // likewise: messages that waited in the log when it was last measured
	Delay    time.Duration // how long the log's end waited then, or waits by now
}

// Progress returns how far the owner is.
func (s *Shard) Progress(ctx context.Context) (p Progress, err error) {
	err = s.ask(ctx, func() {
		p.Applied, p.Readings, p.Lag, p.Delay = s.applied, s.readings, s.keeper.behind.Load(), s.delay.now()
		if s.last != nil {
			p.Snapshot = s.last.Seq
		}
	})
	return p, err
}

// Sites returns the shard's sites by name.
func (s *Shard) Sites(ctx context.Context) (all []Summary, err error) {
	err = s.ask(ctx, func() {
		for _, name := range s.names() {
			all = append(all, s.sites[name].summary())
		}
	})
	return all, err
}

// Summary returns a site in short, and the last message applied of those that
// it comes from. A site without any record has none of anything.
func (s *Shard) Summary(ctx context.Context, name id.Site) (v Summary, applied uint64, err error) {
	v.Site = name
	var moved error
	err = s.ask(ctx, func() {
		applied = s.applied
		if s.departed[name] != nil {
			moved = fmt.Errorf("site: %s: %w", name, ErrMoved)
		}
		if st, ok := s.sites[name]; ok {
			v = st.summary()
		}
	})
	return v, applied, errors.Join(err, moved)
}

// Gateways returns a site's gateways by name. ErrUnknown.
func (s *Shard) Gateways(ctx context.Context, name id.Site) ([]Gateway, error) {
	return askSite(ctx, s, name, func(st *site) (all []Gateway, err error) {
		for _, gw := range slices.Sorted(maps.Keys(st.gateways)) {
			all = append(all, st.gateways[gw].view())
		}
		return all, nil
	})
}

// Retired returns the retired runs of a site that are remembered, by gateway and
// run. ErrUnknown.
func (s *Shard) Retired(ctx context.Context, name id.Site) ([]Retired, error) {
	return askSite(ctx, s, name, func(st *site) (all []Retired, err error) {
		for _, a := range st.gateways {
			for _, t := range a.gateway.state.Tombs {
				all = append(all, Retired{a.gateway.id, t.Run, t.Class, t.Boot, t.Next})
			}
		}
		slices.SortFunc(all, func(a, b Retired) int {
			return cmp.Or(cmp.Compare(a.Gateway.Name, b.Gateway.Name), slices.Compare(a.Run[:], b.Run[:]))
		})
		return all, nil
	})
}

// Devices returns a site's devices by name. ErrUnknown.
func (s *Shard) Devices(ctx context.Context, name id.Site) ([]Device, error) {
	return askSite(ctx, s, name, func(st *site) (all []Device, err error) {
		for _, dev := range slices.Sorted(maps.Keys(st.twins)) {
			all = append(all, st.twins[dev].view())
		}
		return all, nil
	})
}

// Device returns one device. ErrUnknown.
func (s *Shard) Device(ctx context.Context, dev id.Device) (Device, error) {
	return askSite(ctx, s, dev.Site, func(st *site) (Device, error) {
		t, ok := st.twins[dev.Name]
		if !ok {
			return Device{}, fmt.Errorf("site: device %s: %w", dev, ErrUnknown)
		}
		return t.view(), nil
	})
}

func (s *site) summary() Summary {
	v := Summary{Site: s.id, Gateways: len(s.gateways), Devices: len(s.twins)}
	for _, t := range s.twins {
		switch t.state.Liveness {
		case twin.Live:
			v.Live++
		case twin.Silent:
			v.Silent++
		}
	}
	for _, n := range s.pipelines.active {
		v.Alarms += n
	}
	return v
}

func (a *gatewayActor) view() Gateway {
	s := a.gateway.state
	v := Gateway{
		Gateway: a.gateway.id, Board: s.Board, Agent: s.Agent,
		Interval: time.Duration(min(s.Interval, uint64(maxInterval.Milliseconds()))) * time.Millisecond,
		HelloAt:  moment(s.HelloAt), SeenAt: moment(s.SeenAt),
		Count: Count{
			s.Count.Frames, s.Count.Readings, s.Count.Suppressed, s.Count.Duplicates, s.Count.Late,
			s.Count.Missing, s.Count.Gaps, s.Count.Dead, s.Count.Retired,
		},
	}
	runs := a.gateway.sortedRuns()
	slices.SortFunc(runs, func(x, y id.Run) int { return cmp.Compare(s.Runs[x].Order, s.Runs[y].Order) })
	for _, run := range runs {
		r := s.Runs[run]
		v.Runs = append(v.Runs, Run{Run: run, Class: r.Class, State: r.State, Boot: r.Boot, Next: r.Next, Last: r.Last})
	}
	return v
}

// maxInterval bounds what is shown of a commit interval: a gateway may say
// anything.
const maxInterval = 24 * time.Hour

func (a *twinActor) view() Device {
	s := a.state
	v := Device{
		Device: id.Device{Site: a.site.id, Name: a.device}, Gateway: s.Gateway, Bind: s.Bind, Profile: s.Profile,
		Liveness: s.Liveness, LastAt: moment(s.LastAt),
	}
	for i := range s.Len() {
		p := s.Point(i)
		v.Points = append(v.Points, Point{
			Point: p.Column.Point, Unit: p.Column.Unit, Kind: p.Column.Kind,
			Held: p.Held, Raw: p.Value, Value: p.Float(), Text: p.Text, Quality: p.At.Quality, Now: p.Now,
			Sampled: moment(p.At.Sampled), Received: moment(p.At.Received),
			Source: p.At.Source, Within: p.At.Uncertainty, Suspect: p.At.Suspect, Run: p.At.Run, Order: p.At.Order,
		})
	}
	return v
}

// moment is the zero time for 0.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
