package fault

import (
	"errors"
	"math/bits"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/simulator/chip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAFaultIsInForceFromItsBeginToItsEnd(t *testing.T) {
	const s = time.Second
	for _, row := range []struct {
		begin, end, at time.Duration
		in, over       bool
	}{
		{10 * s, 15 * s, 10*s - 1, false, false},
		{10 * s, 15 * s, 10 * s, true, false},
		{10 * s, 15 * s, 15*s - 1, true, false},
		{10 * s, 15 * s, 15 * s, false, true},
		{0, 0, 0, true, false},
		{0, 0, 1e6 * s, true, false}, // without an end
		{s, 0, 0, false, false},
	} {
		f := Fault{Begin: row.begin, End: row.end}
		if in, over := f.InForce(row.at), f.Over(row.at); in != row.in || over != row.over {
			t.Errorf("%v to %v at %v: in force %v, over %v", row.begin, row.end, row.at, in, over)
		}
	}
}

// teller is a chip whose every read gives the number of transactions that it
// has had since it was powered on.
type teller struct{ n byte }

func (c *teller) Tx(_, r []byte) error {
	c.n++
	for i := range r {
		r[i] = c.n
	}
	return nil
}

var (
	here  = Place{Bus: "b", Address: 0x48}
	exact = Place{Bus: "b", Address: 0x20}
	pir   = Place{Bus: "g", Address: 17, Line: true}
	relay = Place{Bus: "g", Address: 27, Line: true}
)

// bench is a set with two tellers, the second one exact, and two parts.
type bench struct {
	t    *testing.T
	set  *Set
	reg  *prometheus.Registry
	chip chip.Chip
	made atomic.Int32 // how often the first chip was powered on
}

func newBench(t *testing.T, seed uint64) *bench {
	b := &bench{t: t, reg: prometheus.NewRegistry()}
	b.set = New([]Target{{Place: here}, {Place: exact, Exact: true}, {Place: pir}, {Place: relay}}, seed, b.reg)
	b.chip = b.set.Wrap(here, func() chip.Chip { b.made.Add(1); return &teller{} })
	b.set.Wrap(exact, func() chip.Chip { return &teller{} })
	return b
}

func (b *bench) add(f Fault) {
	b.t.Helper()
	f.Place = here
	if f.Probability == 0 {
		f.Probability = 1
	}
	o, bad := b.set.find(f)
	if bad != nil {
		b.t.Fatal(bad)
	}
	if err := b.set.add(o); err != nil {
		b.t.Fatal(err)
	}
}

// read reads one byte and says whether the chip answered.
func (b *bench) read() (v byte, nacked bool) {
	b.t.Helper()
	var r [1]byte
	err := b.chip.Tx([]byte{1}, r[:])
	if err != nil && !errors.Is(err, chip.NACK) {
		b.t.Fatal(err)
	}
	return r[0], err != nil
}

func (b *bench) want(v byte) {
	b.t.Helper()
	if got, nacked := b.read(); nacked || got != v {
		b.t.Errorf("at %v: read %d, NACK %v, want %d", time.Since(b.set.start), got, nacked, v)
	}
}

func (b *bench) wantNACK() {
	b.t.Helper()
	if v, nacked := b.read(); !nacked {
		b.t.Errorf("at %v: read %d, want a NACK", time.Since(b.set.start), v)
	}
}

// injections is the metric of a kind on the first chip.
func (b *bench) injections(k Kind) int {
	b.t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			l := m.GetLabel() // address, bus, kind
			if l[0].GetValue() == "0x48" && l[1].GetValue() == "b" && l[2].GetValue() == k.String() {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	b.t.Fatalf("no metric of %v", k)
	return 0
}

func (b *bench) wantInjections(k Kind, n int) {
	b.t.Helper()
	if got := b.injections(k); got != n {
		b.t.Errorf("%d injections of %v, want %d", got, k, n)
	}
}

func in(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func TestANACKedTransactionDoesNotReachTheChip(t *testing.T) {
	in(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.add(Fault{Kind: NACK, Begin: time.Second, End: 3 * time.Second})
		b.want(1)
		time.Sleep(time.Second)
		b.wantNACK()
		time.Sleep(2*time.Second - 1)
		b.wantNACK()
		time.Sleep(time.Nanosecond)
		b.want(2)
		b.wantInjections(NACK, 2)
		if n := len(b.set.Faults()); n != 0 {
			t.Errorf("%d faults are left after their end", n)
		}
	})
}

func TestAProbableFaultHitsItsShareTheSameWithOneSeed(t *testing.T) {
	in(t, func(t *testing.T) {
		run := func(seed uint64) (hits string, n int) {
			b := newBench(t, seed)
			b.add(Fault{Kind: NACK, Probability: 0.25})
			for range 1000 {
				if _, nacked := b.read(); nacked {
					hits, n = hits+"x", n+1
				} else {
					hits += "."
				}
			}
			b.wantInjections(NACK, n)
			return hits, n
		}
		a, n := run(1)
		if n < 200 || n > 300 {
			t.Errorf("%d of 1000 transactions were hit, want 250", n)
		}
		if same, _ := run(1); same != a {
			t.Error("one seed hits two sets of transactions")
		}
		if other, _ := run(2); other == a {
			t.Error("two seeds hit the same transactions")
		}
	})
}

func TestACRCErrorIsOneFlippedBitOfWhatIsRead(t *testing.T) {
	in(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.add(Fault{Kind: CRC})
		places := map[int]bool{}
		for n := range 200 {
			var r [3]byte
			if err := b.chip.Tx(nil, r[:]); err != nil {
				t.Fatal(err)
			}
			flipped := 0
			for i := range r {
				if d := r[i] ^ byte(n+1); d != 0 {
					flipped += bits.OnesCount8(d)
					places[i*8+bits.TrailingZeros8(d)] = true
				}
			}
			if flipped != 1 {
				t.Fatalf("%d bits flipped: % x", flipped, r)
			}
		}
		if len(places) != 24 {
			t.Errorf("%d of 24 bits were ever flipped", len(places))
		}
		if err := b.chip.Tx([]byte{1}, nil); err != nil {
			t.Error(err)
		}
		b.wantInjections(CRC, 200) // a write has nothing to flip
	})
}

func TestAStuckChipRepeatsItsLastReplyToEachRequest(t *testing.T) {
	in(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.want(1)
		b.want(2)
		b.add(Fault{Kind: Stuck, End: time.Minute})
		b.want(2)
		b.want(2)
		other := func(want byte) {
			t.Helper()
			var r [2]byte
			if err := b.chip.Tx([]byte{7}, r[:]); err != nil || r[0] != want || r[1] != want {
				t.Errorf("% x, %v, want %d", r, err, want)
			}
		}
		other(5) // was not asked before
		other(5)
		b.wantInjections(Stuck, 3)
		time.Sleep(time.Minute)
		b.want(7) // the chip lived on
		other(8)
	})
}

func TestAChipThatIsPluggedInAgainHasForgottenWhereItWasStuck(t *testing.T) {
	in(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.want(1)
		b.want(2)
		b.add(Fault{Kind: Stuck})
		b.want(2)
		b.add(Fault{Kind: Unplugged, End: time.Second})
		time.Sleep(time.Second)
		b.want(1)
		b.want(1)
	})
}

// A chip that was unplugged has lost its registers, also if no host looked
// while it was away.
func TestAChipThatIsPluggedInAgainIsPoweredOnAnew(t *testing.T) {
	in(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.want(1)
		b.add(Fault{Kind: Unplugged, Begin: time.Second, End: 2 * time.Second})
		b.want(2)
		time.Sleep(time.Second)
		b.wantNACK()
		if n := b.made.Load(); n != 1 {
			t.Errorf("powered on %d times while it is away", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if b.made.Load() != 2 {
			t.Error("the chip was not powered on when it was plugged in, but when it was read")
		}
		b.want(1)

		b.add(Fault{Kind: Unplugged, Begin: time.Second, End: 2 * time.Second})
		time.Sleep(time.Hour)
		b.want(1)

		b.add(Fault{Kind: Unplugged})
		b.wantNACK()
		b.add(Fault{Kind: Unplugged, End: time.Second})
		time.Sleep(time.Hour)
		b.wantNACK() // the other fault is still in force
		b.set.remove(func(*active) bool { return true })
		b.want(1)
		b.wantInjections(Unplugged, 3)
		if n := b.made.Load(); n != 4 {
			t.Errorf("powered on %d times, want 4", n)
		}
	})
}

// Whatever faults come and go, a transaction is answered with a NACK or with a
// reply, and a chip without faults is untouched.
func TestFaultsNeverOutliveTheirEnds(t *testing.T) {
	outer := t
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(rt, "faults")
		faults := make([]Fault, n)
		for i := range faults {
			faults[i] = Fault{Kind: Kind(rapid.IntRange(0, int(kinds)-1).Draw(rt, "kind"))}
			faults[i].Begin = time.Duration(rapid.IntRange(0, 50).Draw(rt, "begin")) * time.Second
			faults[i].End = faults[i].Begin + time.Duration(rapid.IntRange(1, 50).Draw(rt, "for"))*time.Second
		}
		synctest.Test(outer, func(t *testing.T) {
			b := newBench(t, 1)
			for _, f := range faults {
				b.add(f)
			}
			// The middle of each second, against the faults themselves.
			time.Sleep(time.Second / 2)
			for s := range 100 {
				at, away := time.Duration(s)*time.Second+time.Second/2, false
				for _, f := range faults {
					away = away || (f.Kind == Unplugged || f.Kind == NACK) && f.InForce(at)
				}
				if _, nacked := b.read(); nacked != away {
					rt.Errorf("at %v: NACK %v, want %v", at, nacked, away)
				}
				time.Sleep(time.Second)
			}
			before, _ := b.read()
			b.want(before + 1)
			if left := b.set.Faults(); len(left) != 0 {
				rt.Errorf("left: %+v", left)
			}
		})
	})
}
