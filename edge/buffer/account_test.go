package buffer_test

import (
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// account checks what must hold of the counts at every moment.
func account(st *buffer.Stats) bool {
	var dropped uint64
	for _, d := range st.Dropped {
		dropped += d.Readings
	}
	sampled := st.Sampled + st.Recovered
	return sampled >= st.Safe && st.Safe >= st.Acked && sampled >= st.Acked+dropped+st.Readings
}

// What an earlier process left is safe when this one begins, and was sampled.
func TestWhatAnEarlierProcessLeftCountsAsSampledAndSafe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		w.sample(5)
		settle(2 * buffer.DefaultCommitInterval)
		w.crash()
		if st := w.buf.Stats(); st.Recovered != 5 || st.Sampled != 0 || st.Safe != 5 || st.Acked != 0 {
			t.Fatalf("5 readings were left: %+v", st)
		}
		w.sample(2)
		w.drain()
		settle(time.Second)
		w.drain()
		if st := w.buf.Stats(); st.Safe != 7 || st.Acked != 7 || !account(&st) {
			t.Fatalf("5 readings were left and 2 are new: %+v", st)
		}
	})
}

// How long the gateway was off is not known: an earlier boot's frames are at
// least as old as this boot.
func TestFramesOfAnEarlierBootAreAsOldAsThisBoot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.sample(5)
		settle(time.Minute)
		w.close()
		w.cfg.Boot[0]++
		w.start()
		defer w.close()
		if st := w.buf.Stats(); st.Readings != 5 || st.OldestAge < time.Minute {
			t.Errorf("5 readings wait since before the boot, a minute ago: %+v", st)
		}
	})
}

// Small segments that are written again as one may be acked in part meanwhile.
func TestAReadingThatIsAckedWhileItIsMergedCountsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		run := w.connect().Live[0]
		c := w.buf.Cursor(run)
		const n = 16 // frames that the gate does not ack: as many are merged
		for i := range n {
			if i == n-1 {
				w.disk.SetLatency(time.Second)
			}
			w.sample(3)
			settle(buffer.DefaultCommitInterval)
		}
		items, _ := w.pull(c)
		settle(buffer.DefaultCommitInterval) // the last is committed, and the merge is under way
		if st := w.buf.Stats(); len(items) != n || st.Committed != 3*n || st.Merges != 0 {
			t.Fatalf("%d frames, %+v", len(items), st)
		}
		w.buf.Ack(run, items[1].Last)
		if st := w.buf.Stats(); st.Acked != 6 || !account(&st) {
			t.Fatalf("2 frames acked: %+v", st)
		}
		w.disk.SetLatency(0)
		settle(5 * time.Second)
		if st := w.buf.Stats(); st.Merges != 1 || st.Acked != 6 || st.Readings != 3*(n-2) || !account(&st) {
			t.Fatalf("2 of %d frames acked, all merged: %+v", n, st)
		}
		w.buf.Ack(run, items[n-1].Last)
		settle(time.Minute)
		if st := w.buf.Stats(); st.Acked != 3*n || st.Segments != 0 || !account(&st) {
			t.Fatalf("all acked: %+v", st)
		}
	})
}
