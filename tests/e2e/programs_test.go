package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// patience bounds every wait of these tests; the machine may be busy.
const patience = 60 * time.Second

// programs is where the programs are; they are built once.
var programs = sync.OnceValues(func() (string, error) { return line.Build(context.Background()) })

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bin(t *testing.T) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// raise raises a line that ends with the test.
func raise(t *testing.T, gateways ...line.Gateway) *line.Line {
	t.Helper()
	l, err := line.Start(t.Context(), line.Config{Bin: bin(t), Dir: t.TempDir(), Gateways: gateways})
	if l != nil {
		t.Cleanup(func() {
			if err := l.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// delivered waits until a board has delivered so many readings more.
func delivered(t *testing.T, s *line.Site, more int) {
	t.Helper()
	begin := truth(t, s)
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for truth(t, s) < begin+more {
		select {
		case <-deadline:
			t.Fatalf("%s delivered %d of %d readings\n%s", s.Name, truth(t, s)-begin, more, s.Gateway.Tail())
		case <-tick.C:
		}
	}
}

func truth(t *testing.T, s *line.Site) int {
	t.Helper()
	b, err := os.ReadFile(s.Truth)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// I1, without any crash: everything sampled arrives, whatever was in flight and
// whether or not there was a link at the stop.
func TestACleanStopLosesNothing(t *testing.T) {
	l := raise(t, line.Gateway{Site: "hq", Mode: "always", Counters: 4, Sensors: 2}, line.Gateway{Site: "lab", Mode: "spill", Counters: 4, Sensors: 2})
	for _, s := range l.Sites {
		delivered(t, s, 40)
	}
	stop := func() {
		t.Helper()
		if err := l.StopGateways(); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		t.Helper()
		for _, s := range l.Sites {
			if err := s.Gateway.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			delivered(t, s, 40)
		}
	}
	stop() // online
	restart()
	for _, s := range l.Sites {
		if err := s.Cut(); err != nil {
			t.Fatal(err)
		}
		delivered(t, s, 40)
	}
	stop() // offline: what is not acked waits on the disk
	for _, s := range l.Sites {
		if err := s.Heal(); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	stop()
	want := 0
	for _, s := range l.Sites {
		want += truth(t, s)
	}
	report, text, err := l.Verify(t.Context(), "15s")
	if err != nil {
		t.Fatal(err)
	}
	if report.Sampled != want || report.Readings != want || report.Gaps != 0 || report.Uncommitted != 0 {
		t.Errorf("%d readings were delivered, want all of them and nothing else:\n%s", want, text)
	}
}

// The line that a user greps for, as the contract has it.
func TestVerifyPrintsItsLine(t *testing.T) {
	l := raise(t, line.Gateway{Site: "hq", Mode: "spill", Counters: 1})
	delivered(t, l.Sites[0], 10)
	if err := l.StopGateways(); err != nil {
		t.Fatal(err)
	}
	_, text, err := l.Verify(t.Context(), "15s")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Scan()
	const form = "verify: N readings: 0 lost, 0 duplicated, 0 reordered (sampled N, gaps 0, uncommitted 0)"
	got := strings.Map(func(r rune) rune {
		if r >= '1' && r <= '9' {
			return 'N'
		}
		return r
	}, lines.Text())
	for _, digits := range []string{"N0", "0N", "NN"} { // a number is one N
		for strings.Contains(got, digits) {
			got = strings.ReplaceAll(got, digits, "N")
		}
	}
	if got != form || lines.Scan() {
		t.Errorf("verify printed %q, want one line of the form %q", text, form)
	}
}

// What the start finds wrong is one line that names it, and status 1. Root may
// write everywhere, so that then the programs run as nobody.
func TestAStartThatCannotWorkIsOneLine(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	programs := t.TempDir() // nobody may not see into the repository
	for _, name := range []string{"atrium-cloud", "atrium-edge"} {
		b, err := os.ReadFile(filepath.Join(bin(t), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(programs, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o777, programs: 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) (stderr string, code int) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(programs, program), args...)
		cmd.Dir = dir
		if os.Getuid() == 0 {
			const nobody = 65534
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		var out bytes.Buffer
		cmd.Stderr = &out
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return out.String(), cmd.ProcessState.ExitCode()
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	edge := func(state string, keys ...string) []string {
		file := filepath.Join(dir, strings.ReplaceAll(state, "/", "-")+".yaml")
		if keys == nil {
			keys = []string{`http: ""`, "buses: []"}
		}
		text := "gateway: hq/gw-1\nstate: " + state + "\nidentity: identity\ncloud: [\"127.0.0.1:9\"]\ndevices: []\n" + strings.Join(keys, "\n")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{"run", "--config", file}
	}
	if out, err := exec.Command(filepath.Join(programs, "atrium-cloud"), "issue", "gateway", "hq/gw-1", "--data", filepath.Join(dir, "data"), "--out", filepath.Join(dir, "identity")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{"identity", "identity/gateway.key"} { // readable for nobody
		if err := os.Chmod(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		program string
		args    []string
		want    []string
	}{
		{"atrium-cloud", []string{"run", "--data", "locked/data", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, []string{"atrium-cloud: data folder: mkdir locked/data: permission denied"}},
		{"atrium-cloud", []string{"run", "--data", "locked", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, []string{"atrium-cloud: history: ", "permission denied"}},
		{"atrium-cloud", []string{"issue", "gateway", "hq/gw-1", "--data", "locked/data", "--out", "x"}, []string{"atrium-cloud: identity: ", "locked/data", "permission denied"}},
		{"atrium-edge", edge("locked/state"), []string{"atrium-edge: ", `locked-state.yaml:2:8: key "state": `, "permission denied"}},
		{"atrium-edge", edge("free-1", "http: "+taken.Addr().String(), "buses: []"), []string{"atrium-edge: http: listen on " + taken.Addr().String(), "address already in use"}},
		{"atrium-edge", edge("free-2", `http: ""`, "buses: [{name: a, device: /dev/i2c-250}]"), []string{"atrium-edge: agent: bus a: host: /dev/i2c-250 does not exist"}},
		{"atrium-edge", edge("locked"), []string{"atrium-edge: ", "locked", "permission denied"}},
	} {
		stderr, code := run(c.program, c.args...)
		if code != 1 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s %q: status %d, want 1 and one line:\n%s", c.program, c.args, code, stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%s %q says nothing of %q: %s", c.program, c.args, w, stderr)
			}
		}
	}
}
