package gate

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnErrandMissesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var news, seen, doing atomic.Int64
		e := errand{do: func() {
			if doing.Add(1) != 1 {
				t.Error("it is done twice at once")
			}
			seen.Store(news.Load())
			runtime.Gosched() // the others' turn
			doing.Add(-1)
		}}
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 100 {
					news.Add(1)
					e.call()
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		if got := seen.Load(); got != 8*100 {
			t.Errorf("it has seen %d of %d", got, 8*100)
		}
	})
}

func TestCallsDuringAnErrandAreOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done int
		e := errand{do: func() {
			done++
			time.Sleep(time.Second)
		}}
		e.call()
		synctest.Wait()
		for range 5 {
			e.call()
		}
		time.Sleep(time.Minute)
		e.stop()
		if done != 2 {
			t.Errorf("done %d times, want 2", done)
		}
	})
}

func TestAStoppedErrandIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, ended int
		e := errand{do: func() {
			begun++
			time.Sleep(time.Second)
			ended++
		}}
		e.call()
		synctest.Wait()
		e.call()
		e.stop()
		if begun != 1 || ended != 1 {
			t.Errorf("begun %d times and ended %d, want 1 of each", begun, ended)
		}
		e.call()
		e.runs.Wait()
		if begun != 1 {
			t.Error("it is done after its stop")
		}
	})
}

// I5: a goroutine that waits takes 5 KiB, of 10,000 gateways 50 MB.
func TestAnIdleConnectionHasAGoroutineAStream(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		e.openLane()
		time.Sleep(time.Second)
		synctest.Wait()
		var mine []string
		all := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(all[:runtime.Stack(all, true)]), "\n\n") {
			if strings.Contains(stack, "gate.(*conn)") {
				mine = append(mine, stack)
			}
		}
		if len(mine) != 1+laneStreams {
			t.Errorf("%d goroutines, want one for control and one for each of %d lanes:\n%s", len(mine), laneStreams, strings.Join(mine, "\n\n"))
		}
	})
}
