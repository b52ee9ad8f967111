package mailbox

import (
	"runtime"
	"slices"
	"testing"
	"weak"

	"pgregory.net/rapid"
)

// letter is a message of the model: its number in the order of putting.
type letter struct {
	n int
	_ *letter // without a pointer several would share one allocation
}

// model is a box beside what it should hold: a slice a lane.
type model struct {
	box   Box[*letter]
	batch Batch[*letter]
	pool  Pool[*letter]

	lanes   [Lanes][]int // waiting
	taken   []int        // of the batch: not handled
	out     bool         // a batch is out
	done    int32        // of the batch: handled, put aside ones included
	kept    int32        // of these: put aside
	aside   []int        // put aside, in order
	brought bool         // the batch is a message that Bring made one
	loose   bool         // where the batch ends is known when it is returned

	known  []weak.Pointer[letter] // by number
	passed [Lanes]int             // messages of other lanes since a lane waited or was served
	waited [Lanes]bool            // when the batch was taken
}

func (m *model) letter() *letter {
	l := &letter{n: len(m.known)}
	m.known = append(m.known, weak.Make(l))
	return l
}

func (m *model) put(t *rapid.T) {
	lane := Lane(rapid.IntRange(0, Lanes-1).Draw(t, "lane"))
	for range rapid.SampledFrom([]int{1, 1, 2, 5, 20}).Draw(t, "n") {
		l := m.letter()
		if len(m.lanes[lane]) == 0 && (!m.out || m.batch.Lane != lane) {
			m.passed[lane] = 0
		}
		m.lanes[lane] = append(m.lanes[lane], l.n)
		if m.box.Put(lane, l, &m.pool) {
			m.box.Stamp(lane, int64(l.n))
		}
	}
}

func (m *model) take(t *rapid.T) {
	if m.out {
		return
	}
	empty := m.box.Empty()
	most := int32(rapid.SampledFrom([]int{1, 2, 3, 7, 50}).Draw(t, "most"))
	if took := m.box.Take(&m.batch, most); took == empty {
		t.Fatalf("Take = %v of a box that says Empty = %v", took, empty)
	} else if !took {
		return
	}
	lane := m.batch.Lane
	if len(m.lanes[Control]) > 0 && lane != Control {
		t.Fatalf("a batch of %v although control waits", lane)
	}
	if len(m.lanes[lane]) == 0 {
		t.Fatalf("a batch of %v, where nothing waits", lane)
	}
	m.out, m.done, m.kept = true, 0, 0
	for lane := range m.waited {
		m.waited[lane] = len(m.lanes[lane]) > 0
	}
	if m.loose = most > 1; m.loose {
		m.taken, m.lanes[lane] = m.lanes[lane], nil
	} else {
		m.taken, m.lanes[lane] = m.lanes[lane][:1:1], m.lanes[lane][1:]
	}
}

// bring makes a batch of a message that was not put.
func (m *model) bring(*rapid.T) {
	if m.out {
		return
	}
	l := m.letter()
	m.box.Bring(&m.batch, l)
	m.out, m.done, m.kept, m.brought = true, 0, 0, true
	if len(m.lanes[Normal]) == 0 {
		m.passed[Normal] = 0
	}
	m.taken, m.loose = []int{l.n}, false
}

// next handles some of the batch's next part, all of it where it goes on.
func (m *model) next(t *rapid.T) {
	if !m.out {
		return
	}
	part := m.batch.Next(&m.pool)
	if part == nil {
		m.give(t)
		return
	}
	if rapid.Bool().Draw(t, "look at the time") {
		if since := m.batch.Since(); since != 0 && since != int64(part[0].n) {
			t.Fatalf("message %d is said to have the time of %d", part[0].n, since)
		}
		if m.batch.Since() != 0 {
			t.Fatal("Since answers twice")
		}
	}
	k := len(part)
	stops := rapid.IntRange(0, 3).Draw(t, "stops") == 0
	if stops {
		k = rapid.IntRange(0, len(part)).Draw(t, "handled")
	}
	for i := range k {
		m.handle(t, part[i])
		if m.batch.Lane == Normal && rapid.IntRange(0, 9).Draw(t, "aside") == 0 {
			m.aside = append(m.aside, part[i].n)
			m.kept++
		}
		part[i] = nil
	}
	if !stops {
		m.batch.Spent()
		return
	}
	m.batch.Keep(k)
	m.give(t)
}

// handle checks the order of one message and counts whom it passes.
func (m *model) handle(t *rapid.T, l *letter) {
	lane := m.batch.Lane
	if l.n != m.taken[0] {
		t.Fatalf("%v hands out message %d, want %d", lane, l.n, m.taken[0])
	}
	m.taken = m.taken[1:]
	m.done++
	if lane == Control || m.brought {
		return
	}
	m.passed[lane] = 0
	for other := range longest {
		if Lane(other) != lane && m.waited[other] {
			m.passed[other]++
		}
	}
}

// give returns the batch.
func (m *model) give(t *rapid.T) {
	if !m.out {
		return
	}
	lane := m.batch.Lane
	m.box.Done(lane, m.done-m.kept)
	m.box.Return(&m.batch, &m.pool)
	m.lanes[lane] = append(m.taken, m.lanes[lane]...)
	m.taken, m.out, m.brought = nil, false, false
	for lane, most := range longest {
		if m.passed[lane] > most {
			t.Fatalf("%d messages passed one that waits on %v, want at most %d", m.passed[lane], Lane(lane), most)
		}
	}
}

func (m *model) hold(*rapid.T) {
	l := m.letter()
	m.aside = append(m.aside, l.n)
	m.box.Hold(1)
}

// prepend gives back what was put aside.
func (m *model) prepend(*rapid.T) {
	if m.out || len(m.aside) == 0 {
		return
	}
	msgs := make([]*letter, len(m.aside))
	for i, n := range m.aside {
		l := &letter{n: n}
		msgs[i], m.known[n] = l, weak.Make(l)
	}
	m.box.Prepend(msgs, &m.pool)
	if len(m.lanes[Normal]) == 0 {
		m.passed[Normal] = 0
	}
	m.lanes[Normal] = append(m.aside, m.lanes[Normal]...)
	m.aside = nil
}

// shift drops the oldest that waits. Of a lane whose batch is out, that is one
// behind the batch, wherever that ends; a batch of one ends there.
func (m *model) shift(t *rapid.T) {
	lane := Lane(rapid.IntRange(0, Lanes-1).Draw(t, "lane"))
	l, ok := m.box.Shift(lane, &m.pool)
	if m.out && m.batch.Lane == lane && m.loose {
		if !ok {
			return
		}
		if i := slices.Index(m.taken, l.n); i >= 0 {
			m.taken = slices.Delete(m.taken, i, i+1)
			return
		}
	}
	if ok != (len(m.lanes[lane]) > 0) {
		t.Fatalf("Shift of %v = %v, and %d wait", lane, ok, len(m.lanes[lane]))
	}
	if !ok {
		return
	}
	if l.n != m.lanes[lane][0] {
		t.Fatalf("Shift of %v = %d, want %d", lane, l.n, m.lanes[lane][0])
	}
	m.lanes[lane] = m.lanes[lane][1:]
}

func (m *model) drain(t *rapid.T) {
	if m.out || rapid.IntRange(0, 5).Draw(t, "drain") > 0 {
		return
	}
	var got [Lanes][]int
	m.box.Drain(&m.pool, func(lane Lane, l *letter) { got[lane] = append(got[lane], l.n) })
	for lane := range got {
		if !slices.Equal(got[lane], m.lanes[lane]) {
			t.Fatalf("Drain of %v gave %v, want %v", Lane(lane), got[lane], m.lanes[lane])
		}
	}
	m.lanes, m.aside, m.passed = [Lanes][]int{}, nil, [Lanes]int{}
}

// check compares the sizes after each move.
func (m *model) check(t *rapid.T) {
	var size [Lanes]int
	for lane := range m.lanes {
		size[lane] = len(m.lanes[lane])
	}
	if m.out {
		size[m.batch.Lane] += len(m.taken) + int(m.done-m.kept)
	}
	size[Normal] += len(m.aside)
	user := size[High] + size[Normal] + size[Bulk]
	if m.box.Size() != int32(user) || m.box.ControlSize() != int32(size[Control]) || m.box.NormalSize() != int32(size[Normal]) {
		t.Fatalf("Size %d, ControlSize %d, NormalSize %d; want %d, %d, %d",
			m.box.Size(), m.box.ControlSize(), m.box.NormalSize(), user, size[Control], size[Normal])
	}
	if waits := slices.ContainsFunc(m.lanes[:], func(l []int) bool { return len(l) > 0 }); !m.out && m.box.Empty() == waits {
		t.Fatalf("Empty = %v, and messages wait: %v", m.box.Empty(), waits)
	}
}

// forgets checks that the box and its chunks, used ones included, refer to
// nothing but the messages that wait.
func (m *model) forgets(t *rapid.T) {
	runtime.GC()
	waits := map[int]bool{}
	for _, lane := range append(m.lanes[:], m.taken) {
		for _, n := range lane {
			waits[n] = true
		}
	}
	for n, w := range m.known {
		if (w.Value() != nil) != waits[n] {
			t.Fatalf("message %d waits: %v, is held: %v", n, waits[n], !waits[n])
		}
	}
	runtime.KeepAlive(m)
}

// A box does what four slices would do, whatever its owner does with it.
func TestABoxIsFourQueues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{}
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "more": m.put, "take": m.take, "next": m.next, "and next": m.next, "give": m.give,
			"bring": m.bring, "hold": m.hold, "prepend": m.prepend, "shift": m.shift, "drain": m.drain,
			"": m.check,
		})
		m.forgets(t)
	})
}
