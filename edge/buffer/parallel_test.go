package buffer_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// I1, with everything that runs beside everything else in an agent: samplers, a
// link that comes and goes with a cursor a run, clock changes and scrapes.
func TestSamplersLinkAndScrapesRunBesideEachOther(t *testing.T) {
	for _, mode := range []buffer.Mode{buffer.Spill, buffer.Always} {
		t.Run(mode.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newBench(t, func(c *buffer.Config) { c.Mode = mode })
				w.disk.SetLatency(30 * time.Millisecond)
				const devices, rows = 4, 500
				var samplers, others sync.WaitGroup
				for dev := range devices {
					s := w.series(dev)
					samplers.Go(func() {
						for n := int64(1); n <= rows; n++ {
							if err := s.Append(n, 0, []int64{n}, 0); err != nil {
								t.Error(err)
							}
							time.Sleep(10 * time.Millisecond)
						}
					})
				}
				done := make(chan struct{})
				others.Go(func() {
					for utc := int64(0); ; utc++ {
						select {
						case <-done:
							return
						case <-time.After(77 * time.Millisecond):
							w.buf.SetClock(utc/3, 1, wire.ClockSystem)
							w.buf.Stats()
						}
					}
				})
				others.Go(func() { w.flap(done) })
				samplers.Wait()
				close(done)
				others.Wait()
				w.disk.SetLatency(0)
				settle(2 * time.Second)
				for range 2 {
					w.drain()
				}
				for dev := range devices {
					for n := range int64(rows) {
						if got := w.cloud.rows[row{device(dev), n + 1}]; got != 1 {
							t.Fatalf("row %d of %s was applied %d times", n+1, device(dev), got)
						}
					}
				}
				w.close()
			})
		})
	}
}

// flap connects for a while again and again, with half of the acks lost.
func (w *bench) flap(done <-chan struct{}) {
	var cloud sync.Mutex
	for {
		select {
		case <-done:
			return
		default:
		}
		s := w.connect()
		ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
		var lanes sync.WaitGroup
		for _, run := range append(s.Backlog, s.Live...) {
			lanes.Go(func() { w.lane(ctx, run, &cloud) })
		}
		lanes.Wait()
		cancel()
		w.buf.Disconnect()
		time.Sleep(300 * time.Millisecond)
	}
}

func (w *bench) lane(ctx context.Context, run id.Run, cloud *sync.Mutex) {
	c := w.buf.Cursor(run)
	for n := 0; ; n++ {
		it, err := c.Next(ctx)
		if errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if err != nil {
			w.t.Error(err)
			return
		}
		cloud.Lock()
		err = w.cloud.take(run, it)
		cloud.Unlock()
		if err != nil {
			w.t.Error(err)
		}
		if n%2 == 0 {
			w.buf.Ack(run, it.Last)
		}
	}
}
