package fair

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// The scenarios say who is served. "queues" makes queues of the weights given;
// each line of "serve" names those that are ready with what a slice of each
// costs, and how often to pick, and is answered by the queues picked.
func TestWhoIsServed(t *testing.T) {
	datadriven.Walk(t, "testdata/serve", func(t *testing.T, path string) {
		var q *Queues
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "queues":
				q = new(Queues)
				for _, a := range d.CmdArgs {
					add(t, q, int(number(t, a.Key)))
				}
				return ""
			case "serve":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					out.WriteString(strings.Join(serve(t, q, strings.Fields(line)), " ") + "\n")
				}
				return out.String()
			}
			t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

func serve(t *testing.T, q *Queues, fields []string) (picked []string) {
	t.Helper()
	var ready uint64
	times := int64(1)
	costs := map[int]int64{}
	for _, f := range fields {
		queue, cost, isQueue := strings.Cut(f, ":")
		switch {
		case isQueue:
			d, err := time.ParseDuration(cost)
			if err != nil {
				t.Fatal(err)
			}
			i := int(number(t, queue))
			ready |= 1 << i
			costs[i] = int64(d)
		case f != "none":
			times = number(t, strings.TrimPrefix(f, "x"))
		}
	}
	for range times {
		i := q.Pick(ready)
		if i < 0 {
			picked = append(picked, "none")
			continue
		}
		q.Charge(i, costs[i])
		picked = append(picked, strconv.Itoa(i))
	}
	return picked
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func add(t interface{ Fatal(...any) }, q *Queues, weight int) int {
	i, err := q.Add(weight)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// paper is start-time fair queueing as section 2 of the paper defines it: a
// packet that arrives at an empty queue has the start tag max(v, finish tag of
// the one before), one that follows another has that one's finish tag; v is the
// start tag of the packet in service, and at the end of a busy period the
// largest finish tag served.
type paper struct {
	weights       []int64
	start, finish []int64
	backlogged    []bool
	v             int64
}

func (p *paper) pick(ready uint64) int {
	best := -1
	for i := range p.weights {
		isReady := ready&(1<<i) != 0
		if isReady && !p.backlogged[i] {
			p.start[i] = max(p.v, p.finish[i])
		}
		if isReady && (best < 0 || p.start[i] < p.start[best]) {
			best = i
		}
		p.backlogged[i] = isReady
	}
	if best < 0 {
		for _, f := range p.finish {
			p.v = max(p.v, f)
		}
		return -1
	}
	p.v = p.start[best]
	return best
}

func (p *paper) charge(i int, ns int64) {
	p.finish[i] = p.start[i] + ns/p.weights[i]
	p.start[i] = p.finish[i]
}

func TestTheQueuePickedIsThePapers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "queues")
		q := new(Queues)
		p := &paper{start: make([]int64, n), finish: make([]int64, n), backlogged: make([]bool, n)}
		for range n {
			w := rapid.SampledFrom([]int{1, 2, 3, 4, 6, 12}).Draw(t, "weight")
			add(t, q, w)
			p.weights = append(p.weights, int64(w))
		}
		for range rapid.IntRange(1, 300).Draw(t, "picks") {
			ready := rapid.Uint64Range(0, 1<<n-1).Draw(t, "ready")
			got, want := q.Pick(ready), p.pick(ready)
			if got != want {
				t.Fatalf("Pick(%b) = %d, want %d: %+v", ready, got, want, p)
			}
			if got >= 0 {
				cost := 12 * rapid.Int64Range(1, 50_000).Draw(t, "cost") // each weight divides it
				q.Charge(got, cost)
				p.charge(got, cost)
			}
		}
	})
}

// Theorem 1 of the paper, and what several workers add to it.
func TestQueuesThatStayReadyShareByWeightOverAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "queues")
		workers := rapid.IntRange(1, 3).Draw(t, "workers")
		q := new(Queues)
		l := newLedger(n)
		for i := range n {
			l.weight[i] = float64(rapid.IntRange(1, 20).Draw(t, "weight"))
			add(t, q, int(l.weight[i]))
		}
		longest := rapid.SliceOfN(rapid.Int64Range(1, 1_000_000), n, n).Draw(t, "longest slices")
		var hands []int // queues in the workers' hands
		for range rapid.IntRange(1, 40).Draw(t, "phases") {
			ready := rapid.Uint64Range(0, 1<<n-1).Draw(t, "ready")
			for range rapid.IntRange(1, 20).Draw(t, "picks") {
				l.seeReady(ready)
				if i := q.Pick(ready); i >= 0 {
					hands = append(hands, i)
				}
				for len(hands) == workers || len(hands) > 0 && rapid.Bool().Draw(t, "done") {
					k := rapid.IntRange(0, len(hands)-1).Draw(t, "worker")
					i := hands[k]
					hands = append(hands[:k], hands[k+1:]...)
					cost := rapid.Int64Range(1, longest[i]).Draw(t, "cost")
					q.Charge(i, cost)
					l.charge(i, cost)
					l.check(t, float64(workers))
				}
			}
		}
	})
}

// ledger holds what each queue has used, and for each pair that stays ready
// the smallest and largest difference by weight since it became so.
type ledger struct {
	n                     int
	weight, used, longest []float64
	both                  [][]bool
	low, high             [][]float64
}

func newLedger(n int) *ledger {
	l := &ledger{n: n, weight: make([]float64, n), used: make([]float64, n), longest: make([]float64, n)}
	for range n {
		l.both = append(l.both, make([]bool, n))
		l.low = append(l.low, make([]float64, n))
		l.high = append(l.high, make([]float64, n))
	}
	return l
}

func (l *ledger) pairs(visit func(i, j int, difference float64)) {
	for i := range l.n {
		for j := range i {
			visit(i, j, l.used[i]/l.weight[i]-l.used[j]/l.weight[j])
		}
	}
}

func (l *ledger) seeReady(ready uint64) {
	l.pairs(func(i, j int, d float64) {
		now := ready&(1<<i) != 0 && ready&(1<<j) != 0
		if now && !l.both[i][j] {
			l.low[i][j], l.high[i][j] = d, d
		}
		l.both[i][j] = now
	})
}

func (l *ledger) charge(i int, ns int64) {
	l.used[i] += float64(ns)
	l.longest[i] = max(l.longest[i], float64(ns))
}

func (l *ledger) check(t *rapid.T, workers float64) {
	l.pairs(func(i, j int, d float64) {
		if !l.both[i][j] {
			return
		}
		l.low[i][j], l.high[i][j] = min(l.low[i][j], d), max(l.high[i][j], d)
		bound := workers * (l.longest[i]/l.weight[i] + l.longest[j]/l.weight[j])
		const parts = 2 // ns: of each queue less than one is not yet in its virtual time
		if l.high[i][j]-l.low[i][j] > bound+parts {
			t.Fatalf("queues %d and %d of weights %v and %v: %v apart in a window, bound %v",
				i, j, l.weight[i], l.weight[j], l.high[i][j]-l.low[i][j], bound)
		}
	})
}

func TestOnlyWhatCanBeSharedIsAdded(t *testing.T) {
	q := new(Queues)
	for _, w := range []int{math.MinInt, -1, 0, MaxWeight + 1, math.MaxInt} {
		if _, err := q.Add(w); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("want 1 to 1000, got %d", w)) {
			t.Errorf("weight %d: %v", w, err)
		}
	}
	for i := range Max {
		if got := add(t, q, MaxWeight); got != i {
			t.Fatalf("queue %d has the index %d", i, got)
		}
	}
	if _, err := q.Add(1); err == nil || !strings.Contains(err.Error(), "no more than 64 queues") {
		t.Errorf("a 65th queue: %v", err)
	}
	for i := range 2 * Max {
		if got := q.Pick(math.MaxUint64); got != i%Max {
			t.Fatalf("pick %d = %d", i, got)
		}
		q.Charge(i%Max, MaxWeight)
	}
}

// A clock that jumps makes slices that took centuries, or less than no time.
func TestSlicesOfAnyLengthKeepVirtualTimeInOrder(t *testing.T) {
	q := new(Queues)
	a, b := add(t, q, 1), add(t, q, 1)
	for range 1000 {
		q.Charge(a, math.MaxInt64)
		q.Charge(b, math.MinInt64)
	}
	if got := q.Pick(1<<a | 1<<b); got != b {
		t.Errorf("picked %d, the one that used all the time", got)
	}
	if q.time[a] < 0 || q.time[b] < 0 {
		t.Errorf("virtual times %d and %d", q.time[a], q.time[b])
	}
}

func TestNothingAllocates(t *testing.T) {
	q := new(Queues)
	for range Max {
		add(t, q, 3)
	}
	if n := testing.AllocsPerRun(100, func() { q.Charge(q.Pick(math.MaxUint64), 1000); q.Pick(0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPickAndCharge(b *testing.B) {
	for _, n := range []int{1, 4, Max} {
		b.Run(fmt.Sprintf("queues=%d", n), func(b *testing.B) {
			q := new(Queues)
			for i := range n {
				add(b, q, i+1)
			}
			b.ReportAllocs()
			for b.Loop() {
				q.Charge(q.Pick(math.MaxUint64), 100_000)
			}
		})
	}
}
