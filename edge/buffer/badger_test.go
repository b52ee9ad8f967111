package buffer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
)

// killDir tells the test binary that it is the process to be killed.
const killDir = "ATRIUM_BUFFER_KILL_DIR"

// runVictim samples in always mode until it is killed, and prints how many
// readings are committed.
func runVictim(dir string) error {
	store, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		return err
	}
	start := time.Now()
	b, err := buffer.Open(context.Background(), buffer.Config{
		Mode: buffer.Always, CommitInterval: buffer.MinCommitInterval, Boot: id.Boot{1}, Reserve: 1,
		Now: func() time.Duration { return time.Since(start) },
	}, store, quiet, nil)
	if err != nil {
		return err
	}
	s, err := b.Series(device(1), counterBody, [32]byte{}, 0)
	if err != nil {
		return err
	}
	n, told := int64(0), uint64(0)
	tick := time.NewTicker(time.Millisecond / 2)
	defer tick.Stop()
	for range tick.C {
		n++
		if err := s.Append(n, 0, []int64{n}, 0); err != nil {
			return err
		}
		if c := b.Stats().Committed; c != told {
			told = c
			fmt.Println(c)
		}
	}
	return nil
}

// I1, on the real store: a process that is killed at any moment leaves every
// reading that it called committed.
func TestKilledProcessesLoseNothingCommitted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for round := range 4 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		promised := int64(0)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if promised, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatalf("the victim says %q", lines.Text())
			}
			if promised > int64(100+150*round) {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it died
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				promised = n
			}
		}
		_ = cmd.Wait()
		if promised == 0 {
			t.Fatal("the victim committed nothing")
		}
		checkSurvivor(t, dir, promised)
	}
}

func checkSurvivor(t *testing.T, dir string, promised int64) {
	t.Helper()
	store, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	w := &bench{t: t, cloud: newCloud()}
	w.buf, err = buffer.Open(t.Context(), buffer.Config{Boot: id.Boot{1}, Reserve: 1, Now: func() time.Duration { return time.Hour }}, store, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	s := w.connect()
	c := w.buf.Cursor(s.Backlog[0])
	for {
		it, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		w.cloud.mustTake(t, s.Backlog[0], it)
	}
	w.allOnce(1, promised)
	if len(w.cloud.gaps) > 0 {
		t.Fatalf("gaps %+v", w.cloud.gaps)
	}
}

// onBadger is a bench whose store is the real one.
func onBadger(t *testing.T, dir string) *bench {
	t.Helper()
	store, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w := &bench{t: t, cloud: newCloud()}
	w.buf, err = buffer.Open(t.Context(), buffer.Config{Boot: id.Boot{1}, Reserve: 1, Now: func() time.Duration { return time.Since(start) + time.Hour }}, store, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// The whole buffer on the real store: fill, drain, and the disk is empty.
func TestADrainedStoreGivesItsDiskBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir := t.TempDir()
		w := onBadger(t, filepath.Join(dir, "buffer"))
		defer w.close()
		rng := newNoise()
		for range 300 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
		}
		full := w.buf.Stats()
		if full.StoredBytes < 30<<20 || full.DiskBytes < full.StoredBytes {
			t.Fatalf("%d bytes are stored on %d of disk", full.StoredBytes, full.DiskBytes)
		}
		w.drainNoise()
		settle(time.Minute)
		if st := w.buf.Stats(); st.StoredBytes != 0 || st.DiskBytes > 18<<20 {
			t.Fatalf("after the drain %d bytes are stored on %d of disk, %d before", st.StoredBytes, st.DiskBytes, full.DiskBytes)
		}
		if got := w.total(); got != full.Sampled {
			t.Fatalf("%d readings of %d arrived", got, full.Sampled)
		}
	})
}

// What the kernel is asked to write for fsynced 64 KiB segments, per byte; what
// the flash makes of it comes on top.
func BenchmarkWriteAmplification(b *testing.B) {
	store, err := buffer.OpenBadger(b.TempDir(), quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	before, payload := diskWrites(b), int64(0)
	value := make([]byte, 64<<10)
	rng := newNoise()
	for i := range b.N {
		for k := range value {
			value[k] = byte(rng.Uint64())
		}
		var batch buffer.Batch
		batch.Put(fmt.Appendf(nil, "f%049d", i), append([]byte(nil), value...))
		if err := store.Commit(&batch); err != nil {
			b.Fatal(err)
		}
		payload += int64(len(value))
	}
	b.SetBytes(int64(len(value)))
	if after := diskWrites(b); after > before {
		b.ReportMetric(float64(after-before)/float64(payload), "written/byte")
	}
}

// diskWrites returns what this process has caused to be written, 0 where the
// kernel does not tell.
func diskWrites(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// BenchmarkAppend is the sampler's hot path, cuts and commits included.
func BenchmarkAppend(b *testing.B) {
	store, err := buffer.OpenBadger(b.TempDir(), quiet)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	buf, err := buffer.Open(b.Context(), buffer.Config{Boot: id.Boot{1}, Reserve: 1, Now: func() time.Duration { return time.Since(start) }}, store, quiet, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close(context.Background())
	s, err := buf.Series(device(1), counterBody, [32]byte{}, 1)
	if err != nil {
		b.Fatal(err)
	}
	v := []int64{0}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		v[0] = int64(i / 7)
		if err := s.Append(int64(i), 0, v, 0); err != nil {
			b.Fatal(err)
		}
	}
}
