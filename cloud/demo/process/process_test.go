package process_test

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/demo/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(t *testing.T, script string) *process.Process {
	t.Helper()
	p := process.New(process.Config{
		Name: "shell", Args: []string{"sh", "-c", script}, Log: filepath.Join(t.TempDir(), "log"),
	})
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestStartReturnsOnceTheProgramSaysReady(t *testing.T) {
	p := shell(t, "echo ready; exec sleep 60")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.PID() == 0 || !strings.Contains(p.Tail(), "ready") {
		t.Errorf("pid %d, log %q", p.PID(), p.Tail())
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("Done is open after Kill")
	}
	if err := p.Start(t.Context()); err != nil { // and again, by what it says now
		t.Fatal(err)
	}
}

func TestAProgramThatEndsEarlyIsAnErrorWithItsLastWords(t *testing.T) {
	p := shell(t, "echo no such bus; exit 3")
	err := p.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such bus") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop of what has ended: %v", err)
	}
}

func TestAProgramThatSaysAlreadyIsNotReady(t *testing.T) {
	p := shell(t, "echo address already in use; sleep 0.1; exit 3")
	if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "already in use") {
		t.Errorf("got %v", err)
	}
}

func TestAProgramThatCannotBeRunIsAnError(t *testing.T) {
	p := process.New(process.Config{Name: "nothing", Args: []string{filepath.Join(t.TempDir(), "none")}, Log: filepath.Join(t.TempDir(), "log")})
	if err := p.Start(t.Context()); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(); err != nil || p.PID() != 0 {
		t.Errorf("stop %v, pid %d", err, p.PID())
	}
}

func TestStopIsCleanOnlyWithStatusZero(t *testing.T) {
	clean := shell(t, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	dirty := shell(t, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")
	for _, p := range []*process.Process{clean, dirty} {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := clean.Stop(); err != nil {
		t.Error(err)
	}
	if err := dirty.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("got %v", err)
	}
}

// A port that is closed at once comes again, now and then.
func TestPortsThatAreAskedForTogetherDiffer(t *testing.T) {
	for range 200 {
		both, tcp, err := process.FreePorts(3, 7)
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(both, tcp)
		slices.Sort(all)
		if len(all) != 10 || len(slices.Compact(all)) != 10 {
			t.Fatalf("%v and %v, want ten different ones", both, tcp)
		}
	}
}

// A connection is never given a port that a program has for good.
func TestLastingPortsAreFreeAndNotForConnections(t *testing.T) {
	ports, err := process.LastingPorts(40)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, at := range ports {
		l, err := net.Listen("tcp4", at)
		if err != nil {
			t.Fatal(err)
		}
		if port := l.Addr().(*net.TCPAddr).Port; seen[at] || port >= 32768 {
			t.Errorf("%s is there twice, or among those of connections", at)
		}
		seen[at] = true
		l.Close()
	}
	if _, err := process.LastingPorts(50_000); err == nil {
		t.Error("more ports than there are were found")
	}
}
