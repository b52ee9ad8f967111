package uplink

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var live, old = id.Run{1}, id.Run{2}

// unknown is the round trip of a path of which nothing is known.
func unknown() time.Duration { return 0 }

// I5: whatever is acked, rejected and granted in whatever order, no more is
// sent than the credit allows, and the backlog's bytes in flight are those of
// its entries and within their bound.
func TestNothingIsSentBeyondCreditNorBacklogBeyondItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFlight(rapid.Uint64Max(1<<20).Draw(t, "credit"), unknown)
		turns := map[id.Run]context.Context{}
		next := map[id.Run]uint64{live: 1, old: 1}
		lanes := map[id.Run]wire.Lane{live: wire.LaneLive, old: wire.LaneBacklog}
		for run, lane := range lanes {
			turns[run], _ = f.turn(context.Background(), lane, run)
		}
		var sent uint64
		step := func(run id.Run, op int) {
			switch op {
			case 0, 1, 2: // send, if it may go at once
				size := rapid.Uint64Range(1, wire.MaxFrame).Draw(t, "size")
				if !f.mayFly(lanes[run], size) {
					return
				}
				if err := f.start(turns[run], run, next[run], size); err != nil {
					t.Fatal(err)
				}
				sent += size
				next[run]++
			case 3:
				seq := rapid.Uint64Range(1, next[run]+1).Draw(t, "ack")
				if got, want := f.ack(run, seq), seq < next[run]; got != want {
					t.Fatalf("ack of %d before %d: %v", seq, next[run], got)
				}
			case 4:
				seq := rapid.Uint64Range(1, next[run]).Draw(t, "reject")
				if f.reject(run, seq, wire.RejectCRC) != quarantine {
					return
				}
				f.rewind(run, rewind{seq: seq})
				if err := f.start(turns[run], run, next[run], 0); !errors.Is(err, errRewound) {
					t.Fatalf("sent past a reject: %v", err)
				}
				var back *rewind
				if turns[run], back = f.turn(context.Background(), lanes[run], run); back == nil || back.seq != seq {
					t.Fatalf("the turn after a reject of %d begins at %+v", seq, back)
				}
				next[run] = seq
			case 5:
				f.grant(rapid.Uint64Max(4<<20).Draw(t, "grant"))
			}
		}
		for range 60 {
			step(rapid.SampledFrom([]id.Run{live, old}).Draw(t, "run"), rapid.IntRange(0, 5).Draw(t, "op"))
			var backlog uint64
			for _, e := range f.runs[old].entries {
				backlog += e.size
			}
			if on := f.unacked[wire.LaneBacklog]; f.sent != sent || f.sent > f.credit || on != backlog || on > maxInFlight+wire.MaxFrame {
				t.Fatalf("sent %d of credit %d (want %d), backlog %d of %d (want %d)", f.sent, f.credit, sent, on, maxInFlight, backlog)
			}
		}
	})
}

func TestTheBacklogGivesWayToALiveFrameThatWaitsForCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(0, unknown)
		liveTurn, _ := f.turn(t.Context(), wire.LaneLive, live)
		oldTurn, _ := f.turn(t.Context(), wire.LaneBacklog, old)
		var order []id.Run
		for run, turn := range map[id.Run]context.Context{live: liveTurn, old: oldTurn} {
			go func() {
				if err := f.start(turn, run, 1, 200<<10); err != nil {
					t.Error(err)
				}
				order = append(order, run)
			}()
		}
		synctest.Wait()
		f.grant(200<<10 + liveReserve) // for one of them
		synctest.Wait()
		f.grant(1 << 20)
		synctest.Wait()
		if len(order) != 2 || order[0] != live {
			t.Fatalf("sent in the order %v", order)
		}
	})
}

// Two live frames that wait must not wake each other for ever: with a spin the
// bubble never rests.
func TestLiveFramesThatWaitForCreditRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(0, unknown)
		sent := 0
		for _, run := range []id.Run{live, old} {
			turn, _ := f.turn(t.Context(), wire.LaneLive, run)
			go func() {
				if err := f.start(turn, run, 1, 100); err != nil {
					t.Error(err)
				}
				sent++
			}()
		}
		synctest.Wait()
		f.grant(50)
		synctest.Wait()
		f.grant(100)
		synctest.Wait()
		if sent != 1 || f.waiting != 1 {
			t.Fatalf("%d sent, %d wait", sent, f.waiting)
		}
		f.grant(200)
		synctest.Wait()
		if sent != 2 || f.waiting != 0 {
			t.Fatalf("%d sent, %d wait", sent, f.waiting)
		}
	})
}

// The least window of a gate is one message of any size: with all acked, a
// message of any size must fit, or the backlog would stand still for ever.
func TestABacklogMessageOfAnySizeFitsTheLeastCredit(t *testing.T) {
	for _, size := range []uint64{1, 64 << 10, wire.MaxFrame - liveReserve + 1, wire.MaxFrame} {
		if f := newFlight(wire.MaxFrame, unknown); !f.mayFly(wire.LaneBacklog, size) {
			t.Errorf("%d bytes do not fit a credit of %d", size, wire.MaxFrame)
		}
	}
}

func TestAWaitForCreditEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(0, unknown)
		ctx, cancel := context.WithCancelCause(t.Context())
		turn, _ := f.turn(ctx, wire.LaneLive, live)
		done := make(chan error)
		go func() { done <- f.start(turn, live, 1, 10) }()
		synctest.Wait()
		cancel(io.ErrClosedPipe)
		if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("want the context's cause, got %v", err)
		}
	})
}

func TestWaitsGrowToTheLargestWindowAndBeginAgainAfterAStableConnection(t *testing.T) {
	r := retry{least: time.Second, most: 10 * time.Second}
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if got := r.next(backoff, 0, 0.999999); got.Round(time.Millisecond) != want*time.Second {
			t.Errorf("wait %d is %v, want %v", i, got, want*time.Second)
		}
	}
	if got := r.next(backoff, stableAfter, 0.999999); got > time.Second {
		t.Errorf("after a stable connection the wait is %v", got)
	}
	if got := r.next(backoff, 0, 0); got != 0 {
		t.Errorf("the jitter does not reach 0: %v", got)
	}
	for _, random := range []float64{0, 0.999} {
		if got := r.next(slow, time.Hour, random); got < slowRetry/2 || got > slowRetry*3/2 {
			t.Errorf("after a refusal the wait is %v", got)
		}
	}
	for range 100 { // no overflow
		if got := r.next(backoff, 0, 0.5); got < 0 || got > r.most {
			t.Fatalf("a wait of %v", got)
		}
	}
}

func TestOnlyRefusalsThatPeopleEndAreRetriedSlowly(t *testing.T) {
	for code, want := range map[wire.CloseCode]pace{
		wire.CloseBye: backoff, wire.CloseBusy: backoff, wire.CloseShutdown: backoff, wire.CloseInternal: backoff,
		wire.CloseProtocol: slow, wire.CloseVersion: slow, wire.CloseIdentity: slow, wire.CloseForeignSite: slow, wire.CloseSuperseded: slow,
		99: backoff,
	} {
		v := judge(&carrier.CloseError{Remote: true, Code: code})
		if v.pace != want || (want == slow) != (v.hint != "") {
			t.Errorf("%s: pace %d, hint %q", code, v.pace, v.hint)
		}
	}
	if v := judge(&carrier.CloseError{Remote: true, Code: 99}); v.reason != "unknown" {
		t.Errorf("an unknown code is labelled %q: labels must be a fixed set", v.reason)
	}
	for _, err := range []error{&quic.IdleTimeoutError{}, &quic.HandshakeTimeoutError{}, &quic.StatelessResetError{}, carrier.ErrSilent, errStalled, errNoWelcome, io.EOF} {
		if v := judge(err); v.pace != backoff || v.reason == "" {
			t.Errorf("%v: %+v", err, v)
		}
	}
}

func TestAPathIsSilentAfterThreeRoundTripsAndASecond(t *testing.T) {
	path := carrier.Path{RTT: 100 * time.Millisecond, Quiet: 1300 * time.Millisecond}
	if owes(path) {
		t.Errorf("silent at %v", path.Quiet)
	}
	if path.Quiet++; !owes(path) {
		t.Errorf("not silent at %v", path.Quiet)
	}
}

// A reject while a frame leaves must not cut it short, or nothing after it on
// the stream could be read; and what is sent again is counted once.
func TestAFrameThatHasBegunIsPacedToItsEndPastAReject(t *testing.T) {
	f := newFlight(1<<20, unknown)
	turn, _ := f.turn(t.Context(), wire.LaneBacklog, old)
	for seq := range uint64(2) {
		if err := f.start(turn, old, seq+1, 1000); err != nil {
			t.Fatal(err)
		}
	}
	f.rewind(old, rewind{seq: 1})
	if err := f.pace(t.Context(), old, 2, 500); err != nil {
		t.Fatalf("the rest of a frame that has begun: %v", err)
	}
	if f.inFlight() != 0 {
		t.Fatalf("%d bytes are on their way after a reject of all", f.inFlight())
	}
	if err := f.start(turn, old, 3, 1000); !errors.Is(err, errRewound) {
		t.Fatalf("a frame began past a reject: %v", err)
	}
}

func TestAWaitForThePaceEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(1<<20, func() time.Duration { return time.Hour })
		ctx, cancel := context.WithCancelCause(t.Context())
		turn, _ := f.turn(ctx, wire.LaneBacklog, old)
		if err := f.start(turn, old, 1, 100_000); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.pace(ctx, old, 1, 50_000); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		go func() { done <- f.pace(ctx, old, 1, 1) }()
		synctest.Wait()
		cancel(io.ErrClosedPipe)
		if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("want the context's cause, got %v", err)
		}
	})
}

func TestTheBacklogBeginsNoFrameWhileThePathHoldsAllThatItCan(t *testing.T) {
	f := newFlight(1<<30, unknown)
	turn, _ := f.turn(t.Context(), wire.LaneBacklog, old)
	if err := f.start(turn, old, 1, minInFlight); err != nil {
		t.Fatal(err)
	}
	if f.mayFly(wire.LaneBacklog, 1) || !f.mayFly(wire.LaneLive, wire.MaxFrame) {
		t.Fatal("with all that is allowed on its way the backlog may go on, or a live frame may not")
	}
	f.ack(old, 1)
	if !f.mayFly(wire.LaneBacklog, wire.MaxFrame) {
		t.Fatal("a frame may not begin with nothing on its way")
	}
}
