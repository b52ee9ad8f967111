package actor_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

// stash puts the message in hand aside.
func stash[M any](t *testing.T, ctx *actor.ContextOf[M]) {
	if err := ctx.Stash(); err != nil {
		t.Error(err)
	}
}

func TestBehavioursAreAStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		var lines []string
		var as func(name string) func(*actor.ContextOf[string])
		as = func(name string) func(*actor.ContextOf[string]) {
			return func(ctx *actor.ContextOf[string]) {
				lines = append(lines, name+": "+ctx.Message())
				switch m := ctx.Message(); m {
				case "back":
					ctx.Unbecome()
				case "end":
					ctx.Stop()
				default:
					ctx.Become(as(m))
				}
			}
		}
		ref := spawn(t, s, props(funcOf[string]{
			receive: as("first"),
			stopped: func(*actor.ContextOf[string], error) { lines = append(lines, "stopped") },
		}), "a")
		tell(t, ref, "second", "third", "back", "back", "back", "fourth", "end")
		<-ref.Stopped()
		expect(t, lines, "first: second", "second: third", "third: back", "second: back", "first: back", "first: fourth", "fourth: end", "stopped")
	})
}

// gatekeeper puts numbers aside while it is closed. What it handled is in seen.
type gatekeeper struct {
	t    *testing.T
	seen []int
}

const (
	shut = -1 - iota
	open
)

func (g *gatekeeper) Receive(ctx *actor.ContextOf[int]) {
	switch m := ctx.Message(); m {
	case shut:
		ctx.Become(g.closed)
	case open:
	default:
		g.seen = append(g.seen, m)
	}
}

func (g *gatekeeper) closed(ctx *actor.ContextOf[int]) {
	switch ctx.Message() {
	case shut:
	case open:
		ctx.Unbecome()
		ctx.Unstash()
	default:
		stash(g.t, ctx)
	}
}

func newGatekeeper(t *testing.T, s *actor.ActorSystem, m actor.Mailbox) (*gatekeeper, actor.Ref[int]) {
	g := &gatekeeper{t: t}
	p := actor.PropsOf(func() actor.ReceiverOf[int] { return g }).WithMailbox(m)
	return g, spawn(t, s, p, "gate")
}

// Random messages, whatever batches they are taken in, against a queue whose
// front the stash goes back to.
func TestAStashAgainstAQueue(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			s, reg := newSystem(t)
			g, ref := newGatekeeper(t, s, actor.Mailbox{})
			random := rand.New(rand.NewPCG(seed, 0))
			queue := make([]int, random.IntN(100))
			for i := range queue {
				queue[i] = i
				if random.IntN(5) == 0 {
					queue[i] = shut + random.IntN(2)*(open-shut)
				}
			}
			for part := range slices.Chunk(queue, 1+random.IntN(20)) {
				if n, err := ref.TellBatch(part); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
				if random.IntN(2) == 0 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			var seen, aside []int
			closed, done := false, 0
			for left := queue; len(left) > 0; {
				m := left[0]
				left = left[1:]
				switch {
				case m == open && closed:
					closed = false
					left, aside = slices.Concat(aside, left), nil
				case m < 0:
					closed = m == shut || closed && m != open
				case closed:
					aside = append(aside, m)
					continue
				default:
					seen = append(seen, m)
				}
				done++
			}
			if !slices.Equal(g.seen, seen) {
				t.Errorf("seed %d: %v gave\n%v, want\n%v", seed, queue, g.seen, seen)
			}
			if w, h := ref.Waiting(), handled(t, reg); w != len(aside) || h != done {
				t.Errorf("seed %d: %d waiting and %d handled, want %d and %d", seed, w, h, len(aside), done)
			}
		})
	}
}

func TestWhatIsAsideKeepsItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		g, ref := newGatekeeper(t, s, actor.Mailbox{Size: 3})
		tell(t, ref, shut)
		synctest.Wait()
		tell(t, ref, 1, 2)
		synctest.Wait()
		tell(t, ref, 3)
		synctest.Wait()
		if err := ref.Tell(4); !errors.Is(err, actor.ErrMailboxFull) || ref.Waiting() != 3 {
			t.Fatalf("a fourth message beside three aside: %v, %d waiting", err, ref.Waiting())
		}
		tell(t, ref.On(actor.Control), open)
		synctest.Wait()
		tell(t, ref, 5, 6, 7)
		synctest.Wait()
		if want := []int{1, 2, 3, 5, 6, 7}; !slices.Equal(g.seen, want) || ref.Waiting() != 0 {
			t.Errorf("saw %v, want %v; %d waiting", g.seen, want, ref.Waiting())
		}
	})
}

// Whatever lane brought a message, it comes back on the normal one, before
// those that wait there.
func TestWhatIsAsideComesBackOnTheNormalLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		g, ref := newGatekeeper(t, s, actor.Mailbox{Size: 10})
		tell(t, ref, shut)
		synctest.Wait()
		for i, lane := range []actor.Lane{actor.Bulk, actor.Control, actor.High, actor.Normal} {
			tell(t, ref.On(lane), i)
			synctest.Wait()
		}
		tell(t, ref, open)
		synctest.Wait()
		if want := []int{0, 1, 2, 3}; !slices.Equal(g.seen, want) {
			t.Errorf("saw %v, want %v", g.seen, want)
		}
		if n, err := ref.TellBatch(make([]int, 10)); n != 10 || err != nil {
			t.Errorf("room for %d of 10: %v", n, err)
		}
	})
}

func TestAStashIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 10_000
		s, reg := newSystem(t)
		var refused []int
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			for range 2 { // the second time does nothing
				if err := ctx.Stash(); errors.Is(err, actor.ErrStashFull) {
					refused = append(refused, ctx.Message())
				} else if err != nil {
					t.Error(err)
				}
			}
		}).WithMailbox(actor.Mailbox{Size: 2 * bound}), "a")
		for i := range bound + 2 {
			tell(t, ref, i)
		}
		synctest.Wait()
		if !slices.Equal(refused, []int{bound, bound, bound + 1, bound + 1}) || handled(t, reg) != 2 || ref.Waiting() != bound {
			t.Errorf("refused %v, %d handled, %d waiting", refused, handled(t, reg), ref.Waiting())
		}
	})
}

// What is aside when the actor ends was accepted and is never handled (I5).
func TestAStashAtTheEndIsDeadLetters(t *testing.T) {
	for reason, end := range map[string]func(*actor.ContextOf[int]){
		"stopped": func(ctx *actor.ContextOf[int]) { ctx.Stop() },
		"failure": func(*actor.ContextOf[int]) { panic("end") },
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				got := listen[actor.DeadLetter](t, s)
				ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
					if ctx.Message() == 0 {
						end(ctx)
						return
					}
					stash(t, ctx)
				}).WithType("clerk"), "a")
				tell(t, ref, 1, 2, 0)
				want := []actor.DeadLetter{
					{PID: ref.PID(), Type: "clerk", Message: 1, Reason: reason},
					{PID: ref.PID(), Type: "clerk", Message: 2, Reason: reason},
				}
				if d := got(); !slices.Equal(d, want) || deadLetters(t, reg, reason) != 2 {
					t.Errorf("dead letters %+v, %d counted", d, deadLetters(t, reg, reason))
				}
			})
		})
	}
}

// A turn in the asker's goroutine may do all that one of a worker may.
func TestBehavioursAndStashInATurnOfACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type question struct {
			number int
			reply  actor.Reply[int]
		}
		s, reg := newSystem(t)
		inline := 0
		closed := func(ctx *actor.ContextOf[question]) {
			switch m := ctx.Message(); m.number {
			case open:
				ctx.Unbecome()
				ctx.Unstash()
				m.reply.Send(open)
			default:
				stash(t, ctx)
			}
		}
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[question]) {
			m := ctx.Message()
			if m.number == shut {
				ctx.Become(closed)
			}
			inline++
			m.reply.Send(m.number)
		}).WithCallerRuns(), "a")
		ask := func(number int) {
			got, err := actor.Ask(t.Context(), ref, func(r actor.Reply[int]) question { return question{number, r} })
			if got != number || err != nil {
				t.Errorf("asked %d, got %d: %v", number, got, err)
			}
		}
		ask(shut)
		answered := make(chan struct{}, 2)
		for i := range 2 {
			go func() {
				ask(i)
				answered <- struct{}{}
			}()
		}
		synctest.Wait()
		if len(answered) != 0 || ref.Waiting() != 2 {
			t.Fatalf("%d questions answered, %d aside", len(answered), ref.Waiting())
		}
		ask(open)
		synctest.Wait()
		if len(answered) != 2 || ref.Waiting() != 0 || inline != 3 || handled(t, reg) != 4 {
			t.Errorf("%d questions answered, %d waiting, %d handled", len(answered), ref.Waiting(), handled(t, reg))
		}
	})
}

func TestWhereNothingCanBePutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		ref := spawn(t, s, props(funcOf[int]{
			started: func(ctx *actor.ContextOf[int]) { stash(t, ctx); ctx.Unstash(); ctx.Unbecome() },
			receive: func(*actor.ContextOf[int]) {},
			stopped: func(ctx *actor.ContextOf[int], _ error) { stash(t, ctx) },
		}), "a")
		tell(t, ref, 1)
		_ = ref.Stop()
		<-ref.Stopped()
		g, err := s.NewGroup("g", actor.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		member, err := actor.SpawnIn(g, on(func(ctx *actor.ContextOf[int]) { stash(t, ctx) }), "member")
		if err != nil {
			t.Fatal(err)
		}
		if err := actor.Turn(g, member, 1); err != nil {
			t.Fatal(err)
		}
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
		if n := handled(t, reg); n != 2 {
			t.Errorf("%d handled", n)
		}
		for _, reason := range []string{"stopped", "failure", "group_stopped"} {
			if n := deadLetters(t, reg, reason); n != 0 {
				t.Errorf("%s: %d dead letters", reason, n)
			}
		}
	})
}
