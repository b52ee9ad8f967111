package load_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference"
)

// lossy loses each message, until its test lets go of whoever waits.
type lossy struct {
	load.Peer
	waiting chan func()
}

func (l *lossy) Sinks(n int, _ int64, done func()) {
	for range n {
		l.waiting <- done
	}
}

func (l *lossy) Tell(int, int, *load.Msg) {}

func TestARuntimeThatLosesMessagesGetsNoFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lossy{waiting: make(chan func(), 1)}
		err := load.Check(func() load.Peer { return l })
		if err == nil || !strings.Contains(err.Error(), "tell-1: did not end") {
			t.Errorf("got %v", err)
		}
		for range 2 { // the warm-up's sink, then the run's
			(<-l.waiting)()
		}
	})
}

func TestASinkIsDoneAtItsLastMessageAndOnce(t *testing.T) {
	done, each := 0, 0
	s := load.NewSink(3, func() { done++ }, func() { each++ })
	for i, want := range []int{0, 0, 1, 1} {
		s.Got()
		if done != want {
			t.Errorf("after %d messages: done %d times, want %d", i+1, done, want)
		}
	}
	if each != 4 {
		t.Errorf("each was called %d times for 4 messages", each)
	}
}

func TestPercentilesAreOfTheSortedList(t *testing.T) {
	sorted := make([]uint32, 101)
	for i := range sorted {
		sorted[i] = uint32(i) * 1000
	}
	for p, want := range map[float64]float64{0: 0, 0.5: 50, 0.99: 99, 1: 100} {
		if got := load.Percentile(sorted, p); got != want {
			t.Errorf("percentile %g: got %g us, want %g", p, got, want)
		}
	}
}

func TestALatencyThatDoesNotFitIsTheLargest(t *testing.T) {
	if got := load.Nanos(5 * time.Second); got != 1<<32-1 {
		t.Errorf("got %d", got)
	}
}

func TestOneProgramPrintsItsFigures(t *testing.T) {
	var out, problems bytes.Buffer
	profile := filepath.Join(t.TempDir(), "cpu.prof")
	args := []string{"-program", "swap/ask-1", "-scale", "tiny", "-cpuprofile", profile}
	if code := load.Main(args, load.Programs(reference.Runtimes()), &out, &problems); code != 0 {
		t.Fatalf("exit %d: %s", code, &problems)
	}
	var fig load.Figures
	if err := json.Unmarshal(out.Bytes(), &fig); err != nil {
		t.Fatal(err)
	}
	if fig[load.PerSecond] <= 0 || fig[load.P99] < fig[load.P50] {
		t.Errorf("got %v", fig)
	}
}

func TestBadArgumentsNameWhatIsWanted(t *testing.T) {
	programs := load.Programs(reference.Runtimes())
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-program", "swap/nothing"}, 1, "-program swap/nothing: want one of chan/ask-1"},
		{[]string{"-program", "swap/ask-1", "-scale", "vast"}, 1, "-scale vast: want one of full, short, tiny"},
		{[]string{"-program", "swap/ask-1", "-scale", "tiny", "-cpuprofile", "/no/such/folder/p"}, 1, "-cpuprofile"},
		{[]string{"-speed"}, 1, "speed"},
		{[]string{"-program", "mpsc/refuse", "-scale", "tiny"}, load.ExitUnserved, ""},
	} {
		var out, problems bytes.Buffer
		code := load.Main(c.args, programs, &out, &problems)
		if code != c.code || !strings.Contains(problems.String(), c.says) || out.Len() > 0 {
			t.Errorf("%v: exit %d, %q", c.args, code, &problems)
		}
	}
}
