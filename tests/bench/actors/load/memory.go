package load

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// idle counts what actors without messages cost, what the harness holds of
// them (a reference each) and what they do (a Sink each, 32 bytes) included.
// Afterwards each gets a message, which shows that all of them lived.
func idle(p Peer, s Scale, fig Figures) {
	n := s.Idle
	var touched sync.WaitGroup
	touched.Add(n)
	heap := InUse()
	begin := time.Now()
	p.Idle(n, touched.Done)
	fig[PerSecond] = float64(n) / time.Since(begin).Seconds()
	fig[HeapBytes] = float64(InUse()-heap) / float64(n)
	fig[RSSMega] = float64(rss()) / 1e6
	begin = time.Now()
	runtime.GC()
	fig[GCMillis] = float64(time.Since(begin).Nanoseconds()) / 1e6
	p.Touch(&Msg{})
	touched.Wait()
	runtime.KeepAlive(p)
}

// slowDelay makes an actor fall behind any sender.
const slowDelay = 100 * time.Microsecond

// refuse offers messages to a full mailbox as fast as one goroutine can.
func refuse(p Peer, s Scale, fig Figures) {
	r := p.(Refuser)
	var handled atomic.Int64
	r.Refusing(Slow{Size: s.Mailbox, Delay: slowDelay, Handled: &handled})
	m := &Msg{}
	accepted := 0
	for r.Offer(m) {
		accepted++
	}
	settle()
	resident := rss()
	refused := 0
	begin := time.Now()
	for time.Since(begin) < s.Overload {
		for range 256 { // offers between two looks at the clock
			if r.Offer(m) {
				accepted++
			} else {
				refused++
			}
		}
	}
	fig[RefusalNano] = float64(time.Since(begin)) / float64(max(refused, 1))
	fig[RSSGrowth] = float64(rss()-resident) / (1 << 20)
	for handled.Load() < int64(accepted) {
		time.Sleep(slowDelay)
	}
}

// wait has a sender that always waits for room; what the process then uses is
// the actor's sleeping and the sender's waiting.
func wait(p Peer, s Scale, fig Figures) {
	w := p.(Waiter)
	var handled, accepted atomic.Int64
	w.Waiting(Slow{Size: s.Mailbox, Delay: slowDelay, Handled: &handled})
	ctx, cancel := context.WithTimeout(context.Background(), s.Overload)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := (&Msg{}); ctx.Err() == nil; {
			if w.Put(ctx, m) {
				accepted.Add(1)
			}
		}
	}()
	for accepted.Load() < int64(s.Mailbox) && ctx.Err() == nil {
		time.Sleep(slowDelay)
	}
	cpu, begin := cpuTime(), time.Now()
	<-ctx.Done()
	fig[Cores] = float64(cpuTime()-cpu) / float64(time.Since(begin))
	<-done
	for handled.Load() < accepted.Load() {
		time.Sleep(slowDelay)
	}
}
