package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// place is where the oracle saw a row: the frame's identity.
type place struct {
	run id.Run
	seq uint64
}

// observer is a store that reads along: which rows a commit made durable, by
// nothing but the wire's formats.
type observer struct {
	buffer.Store
	m *model
}

func (o observer) Commit(b *buffer.Batch) error {
	err := o.Store.Commit(b)
	o.m.books.Lock()
	defer o.m.books.Unlock()
	for _, op := range b.Ops {
		switch {
		case op.Value == nil:
		case op.Key[0] == 's':
			if s, err := wire.ParseSchema(op.Value[:len(op.Value)-4]); err == nil {
				o.m.devices[fmt.Sprint(s.Run, s.SID)] = s.Device
			}
		case op.Key[0] == 'f':
			o.m.observe(op.Value[:len(op.Value)-4], err == nil)
		}
	}
	return err
}

// model drives a buffer by a list of steps and keeps the oracle's books.
type model struct {
	*bench
	start     time.Time
	books     sync.Mutex           // of the three below, which commits write
	committed map[row]place        // surely durable at some time
	reached   map[id.Run]uint64    // the highest sequence that may be durable
	devices   map[string]id.Device // by run and sid
	bodies    map[place][]byte     // every frame as it was first sent
	asGap     map[place]bool       // sent as part of a gap
	times     map[row]time.Time    // when each was appended
	appended  map[row]bool
	crashed   map[row]bool // appended in a process that crashed
	alive     []row        // appended in this process
	cursors   map[id.Run]*buffer.Cursor
	session   buffer.Session
	online    bool
	sick      time.Time // until when the store may not have kept up
	full      bool      // its file system is at the reserve
	forgive   bool      // the process that ends is known to have lost rows
	digest    byte
	err       error
}

func (m *model) observe(value []byte, sure bool) {
	r := wire.NewReader(bytes.NewReader(value), wire.MaxFrame)
	for {
		msg, err := r.Next()
		if err != nil {
			return
		}
		run, _, last, err := wire.PeekSeq(msg)
		if err != nil {
			m.fail("segment: %v", err)
			return
		}
		m.reached[run] = max(m.reached[run], last)
		f, err := wire.ParseFrame(msg)
		if err != nil || !sure {
			continue
		}
		var rows wire.Rows
		for i := range f.Blocks {
			blk := &f.Blocks[i]
			if err := wire.ParseColumns(blk.Data, blk.N, wire.Numbers(1), 0, 0, &rows); err != nil {
				m.fail("segment: %v", err)
				return
			}
			for _, n := range rows.V[0] {
				m.committed[row{m.devices[fmt.Sprint(run, blk.SID)], n}] = place{run, f.Seq}
			}
		}
	}
}

func (m *model) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *model) open() {
	s, err := m.disk.Open()
	if err != nil {
		m.fail("disk: %v", err)
		return
	}
	m.buf, err = buffer.Open(context.Background(), m.cfg, observer{s, m}, quiet, nil)
	if errors.Is(err, buffertest.ErrCrashed) {
		m.open()
		return
	}
	if err != nil {
		m.fail("open: %v", err)
	}
	m.cursors, m.online = map[id.Run]*buffer.Cursor{}, false
}

// died notes what a crash may have taken, and starts again.
func (m *model) died() {
	m.disk.Crash()
	_ = m.buf.Close(context.Background())
	m.books.Lock()
	for _, r := range m.alive {
		_, kept := m.committed[r]
		if m.cloud.rows[r] > 0 {
			kept = true
		}
		m.crashed[r] = true
		// I1: what is older than the commit interval is not lost.
		bound := m.cfg.CommitInterval
		if r.device == event(0) || r.device == event(1) {
			bound = slice // it is committed at once, and the disk takes no time
		}
		if age := time.Since(m.times[r]); !kept && age > bound && m.healthy() {
			m.fail("row %v was lost, %s old", r, age)
		}
	}
	m.books.Unlock()
	m.alive = nil
	m.open()
}

// healthy says that nothing kept the store from taking what is due.
func (m *model) healthy() bool {
	d := m.buf.Stats().Dropped
	return !m.full && !m.forgive && time.Now().After(m.sick) && d[buffer.DropMemory].Items+d[buffer.DropReserve].Items == 0
}

var errFlash = errors.New("flash says no")

type step struct{ kind, a, b int }

const (
	stepSample = iota
	stepSleep
	stepConnect
	stepDisconnect
	stepSend
	stepAck
	stepCrash
	stepCrashAt
	stepRestart
	stepClock
	stepFail
	stepReject
	stepDamage
	stepProfile
	stepFull
	stepRewind
	stepBadAck
	stepLose
	stepOutage
	stepEvent
	steps
)

func (m *model) do(s step) {
	switch s.kind {
	case stepSample:
		m.sampleRows(s.a%3, 1+s.b%40)
	case stepEvent:
		m.eventRows(s.a%2, 1+s.b%4)
	case stepSleep:
		m.sleep(time.Duration(1+s.a*s.a) * time.Millisecond / 4)
	case stepConnect:
		m.reconnect(s.a%4 > 0)
	case stepDisconnect:
		m.buf.Disconnect()
		m.online = false
	case stepSend:
		run, ok := m.pick(s.a)
		m.sendSome(run, ok, 1+s.b%20)
	case stepAck:
		if run, ok := m.pick(s.a); ok && m.cloud.next[run] > 1 {
			m.buf.Ack(run, m.cloud.next[run]-1-uint64(s.b%2)*min(1, m.cloud.next[run]-2))
		}
	case stepCrash:
		m.died()
	case stepCrashAt:
		m.disk.CrashAt(1 + s.a%6)
	case stepRestart:
		if err := m.buf.Close(context.Background()); err == nil {
			m.alive = nil
			m.open()
		} else {
			m.forgive = true // what a failed Close did not write is lost with it
			m.died()
			m.forgive = false
		}
	case stepClock:
		m.buf.SetClock(int64(s.a), uint64(s.b), wire.ClockSystem)
	case stepFail:
		m.disk.Fail(errFlash, s.a%2 == 0)
		m.sick = time.Now().Add(4 * time.Second)
	case stepReject:
		m.reject(m.pick(s.a))
	case stepDamage:
		m.disk.Damage(func(key []byte) bool { return key[0] == 'f' && s.a%3 == 0 || key[0] == 's' && s.a%3 == 1 })
	case stepLose:
		m.disk.Lose(func(key []byte) bool { return key[0] == 'f' && key[len(key)-1]&1 == 0 })
	case stepOutage: // as many small commits as are merged
		m.buf.Disconnect()
		m.online = false
		for k := 0; k < 18 && !m.disk.Crashed(); k++ {
			m.sampleRows(s.a%3, 2)
			m.sleep(m.cfg.CommitInterval)
		}
	case stepProfile:
		m.digest++
	case stepFull:
		if m.full = s.a%2 == 0; m.full {
			m.disk.SetFree(m.cfg.Reserve + int64(s.b))
		} else {
			m.disk.SetFree(1 << 40)
			m.sick = time.Now().Add(4 * time.Second)
		}
	case stepRewind:
		if run, ok := m.pick(s.a); ok && m.cursors[run] != nil {
			m.cursors[run].Rewind(max(1, min(m.cloud.next[run], uint64(s.b))), s.b%2 == 0)
		}
	case stepBadAck:
		// Of its own runs the buffer knows what was sent. (Of a run before, the
		// gate may know more than a crash left.)
		if m.online {
			for _, run := range m.session.Live {
				m.buf.Ack(run, 1<<40)
			}
		}
	}
	if m.disk.Crashed() {
		m.died()
	}
}

// slice is how soon a crash is seen.
const slice = 10 * time.Millisecond

// sleep lets d pass in slices, so that a crash is seen when it happens.
func (m *model) sleep(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && !m.disk.Crashed(); {
		settle(slice)
	}
}

func (m *model) sampleRows(dev, n int) {
	s, err := m.buf.Series(device(dev), counterBody, [32]byte{m.digest}, 0)
	if err != nil {
		m.fail("series: %v", err)
		return
	}
	m.rows(s, device(dev), n)
}

func (m *model) eventRows(dev, n int) {
	s, err := m.buf.EventSeries(event(dev), counterBody, [32]byte{m.digest})
	if err != nil {
		m.fail("event series: %v", err)
		return
	}
	m.rows(s, event(dev), n)
}

func (m *model) rows(s *buffer.Series, dev id.Device, n int) {
	for range n {
		m.n++
		if err := s.Append(m.n, 0, []int64{m.n}, 1); err != nil {
			m.fail("append: %v", err)
			return
		}
		r := row{dev, m.n}
		m.times[r], m.appended[r] = time.Now(), true
		m.alive = append(m.alive, r)
	}
}

func (m *model) reconnect(welcome bool) {
	s, err := m.buf.Connect()
	if err != nil {
		m.fail("connect: %v", err)
		return
	}
	m.books.Lock()
	defer m.books.Unlock()
	for _, r := range s.Hello.Runs {
		if most := max(m.reached[r.Run], m.cloud.applied(r.Run)); r.Last > most {
			m.fail("hello names %d as the last of %s, neither the store nor the cloud ever had more than %d", r.Last, r.Run, most)
		}
		if _, err := wire.ParseHello(helloBytes(s.Hello)); err != nil {
			m.fail("hello: %v", err)
		}
	}
	if welcome {
		m.buf.Welcomed(s)
	}
	m.session, m.online, m.cursors = s, true, map[id.Run]*buffer.Cursor{}
}

func helloBytes(h wire.Hello) []byte {
	h.Min, h.Max = 1, 1
	return h.Append(nil)
}

// event names a device of which the model has events.
func event(n int) id.Device { return id.Device{Site: "hq", Name: fmt.Sprintf("e%d", n)} }

// pick returns one of the connection's runs.
func (m *model) pick(n int) (id.Run, bool) {
	runs := slices.Concat(m.session.Backlog, m.session.Live)
	if !m.online || len(runs) == 0 {
		return id.Run{}, false
	}
	return runs[n%len(runs)], true
}

// next returns a run's next item, without waiting.
func (m *model) next(run id.Run) (buffer.Item, bool) {
	c := m.cursors[run]
	if c == nil {
		c = m.buf.Cursor(run)
		m.cursors[run] = c
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	it, err := c.Next(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, io.EOF) && !errors.Is(err, buffertest.ErrCrashed) && !errors.Is(err, errFlash) {
		m.fail("next: %v", err)
	}
	return it, err == nil
}

func (m *model) sendSome(run id.Run, ok bool, n int) {
	for ; ok && n > 0; n-- {
		it, more := m.next(run)
		if !more {
			return
		}
		m.arrive(run, it)
	}
}

// arrive checks the identity of an item and gives it to the cloud.
func (m *model) arrive(run id.Run, it buffer.Item) {
	k, _ := wire.Peek(it.Frame)
	for seq := it.First; seq <= it.Last; seq++ {
		p := place{run, seq}
		switch {
		case k == wire.KindGap:
			m.asGap[p] = true
		case m.asGap[p]:
			m.fail("frame %v came after a gap that covers it", p)
		case m.bodies[p] == nil:
			m.bodies[p] = it.Frame
		case !bytes.Equal(m.bodies[p], it.Frame):
			m.fail("frame %v has changed: a sequence was used twice", p)
		}
	}
	if err := m.cloud.take(run, it); err != nil {
		m.fail("%v", err)
	}
}

func (m *model) reject(run id.Run, ok bool) {
	if !ok {
		return
	}
	it, more := m.next(run)
	if !more {
		return
	}
	k, _ := wire.Peek(it.Frame)
	if !k.IsFrame() || it.First < m.cloud.next[run] {
		m.arrive(run, it)
		return
	}
	for _, msg := range it.Before {
		if err := m.cloud.define(run, msg); err != nil {
			m.fail("%v", err)
		}
	}
	if err := m.buf.Reject(run, it.First, wire.RejectLimit); err != nil {
		m.cursors[run].Rewind(it.First, false)
		return // the store failed; the frame goes out again
	}
	m.cursors[run].Rewind(it.First, false)
}

// heal makes everything work, lets the buffer drain and checks the books.
func (m *model) heal() {
	m.disk.CrashAt(0)
	m.disk.SetFree(1 << 40)
	settle(5 * time.Second)
	if m.disk.Crashed() {
		m.died()
	}
	for range 3 {
		settle(2 * time.Second)
		m.reconnect(true)
		for _, run := range slices.Concat(m.session.Backlog, m.session.Live) {
			for {
				it, ok := m.next(run)
				if !ok {
					break
				}
				m.arrive(run, it)
				m.buf.Ack(run, m.cloud.next[run]-1)
			}
		}
	}
	settle(time.Minute)
	if st := m.buf.Stats(); st.Frames != 0 || st.Segments != 0 || st.MemoryBytes != 0 || st.StoredBytes != 0 || st.Runs != 2 {
		m.fail("the buffer is not empty after the drain: %+v", st)
	}
	m.books.Lock()
	defer m.books.Unlock()
	covered := map[id.Run][]wire.Gap{}
	for _, g := range m.cloud.gaps {
		covered[g.Run] = append(covered[g.Run], g)
	}
	missing := uint64(0)
	for r := range m.appended {
		n := m.cloud.rows[r]
		if n > 1 {
			m.fail("row %v was applied %d times", r, n)
		}
		if n > 0 {
			continue
		}
		if p, ok := m.committed[r]; ok {
			if !slices.ContainsFunc(covered[p.run], func(g wire.Gap) bool { return g.A <= p.seq && p.seq <= g.B }) {
				m.fail("row %v was committed as %v and is neither applied nor in a gap", r, p)
			}
			continue
		}
		if !m.crashed[r] {
			missing++
		}
	}
	if missing > m.cloud.readings() {
		m.fail("%d rows are missing without a crash, gaps hold %d", missing, m.cloud.readings())
	}
}

func runModel(t *testing.T, mode buffer.Mode, seed uint64, list []step) (err error) {
	synctest.Test(t, func(t *testing.T) {
		chacha := rand.NewChaCha8([32]byte{byte(seed)})
		start := time.Now()
		m := &model{
			bench: &bench{t: t, disk: buffertest.NewDisk(seed), cloud: newCloud(), cfg: buffer.Config{
				Mode: mode, CommitInterval: time.Second, Boot: id.Boot{1}, Rand: chacha, Reserve: 1 << 20,
				Now: func() time.Duration { return time.Since(start) },
			}},
			start: start, committed: map[row]place{}, reached: map[id.Run]uint64{}, devices: map[string]id.Device{}, bodies: map[place][]byte{},
			asGap: map[place]bool{}, times: map[row]time.Time{}, appended: map[row]bool{}, crashed: map[row]bool{},
		}
		m.disk.SetFree(1 << 40)
		m.open()
		for i, s := range list {
			if m.err != nil {
				m.err = fmt.Errorf("step %d: %w", i, m.err)
				break
			}
			m.do(s)
			if st := m.buf.Stats(); !account(&st) {
				m.fail("the counts do not add up: %+v", st)
			}
		}
		if m.err == nil {
			m.heal()
		}
		_ = m.buf.Close(context.Background())
		err = m.err
	})
	return err
}

// I1, over everything that the buffer, its store and the link can do: every
// committed row is applied exactly once or lies in a gap, no sequence is used
// twice, hello never promises what is not durable, and a crash takes no row
// that is older than the commit interval.
func TestNoCommittedRowIsLostOrDoubled(t *testing.T) {
	for _, mode := range []buffer.Mode{buffer.Spill, buffer.Always} {
		t.Run(mode.String(), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64Range(0, 255).Draw(rt, "seed")
				// Long lists find most; short ones are what shrinking ends at.
				least := rapid.SampledFrom([]int{60, 20, 1}).Draw(rt, "least")
				list := rapid.SliceOfN(rapid.Custom(drawStep), least, 150).Draw(rt, "steps")
				if err := runModel(t, mode, seed, list); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

// drawStep draws the everyday steps more often than the others.
func drawStep(rt *rapid.T) step {
	return step{
		kind: rapid.OneOf(rapid.IntRange(stepSample, stepAck), rapid.IntRange(stepSample, stepSleep), rapid.IntRange(0, steps-1)).Draw(rt, "kind"),
		a:    rapid.IntRange(0, 60).Draw(rt, "a"),
		b:    rapid.IntRange(0, 60).Draw(rt, "b"),
	}
}
