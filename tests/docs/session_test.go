package docs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait; the machine may be busy.
const patience = 60 * time.Second

// session is a user who types what the documents say, in one folder.
type session struct {
	t       *testing.T
	dir     string
	bin     string
	env     []string // beside this process's
	running []*program
	ran     int
}

// program runs until the session ends.
type program struct {
	line string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output is what a program has printed so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// block is one fenced block of a document.
type block struct{ kind, text string }

func blocks(t *testing.T, file string) []block {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	for _, m := range regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		found = append(found, block{m[1], m[2]})
	}
	if len(found) == 0 {
		t.Fatalf("%s has no commands", file)
	}
	return found
}

// lines are the commands of a block, without comments.
func (b block) lines() []string {
	var out []string
	for line := range strings.Lines(b.text) {
		if line, _, _ = strings.Cut(line, " #"); strings.TrimSpace(line) != "" {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// command runs one of the programs to its end.
func (s *session) command(line string) string {
	s.t.Helper()
	s.ran++
	out, err := s.exec(context.Background(), line).CombinedOutput()
	if err != nil {
		s.t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// eventually runs one of the programs until it ends well and prints something:
// a reading, or the first one, may still be on its way.
func (s *session) eventually(line string) {
	s.t.Helper()
	said := "nothing"
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s at last printed %s", line, said)
		}
	}()
	s.until(line, func() bool {
		out, err := s.exec(context.Background(), line).CombinedOutput()
		said = string(out)
		return err == nil && strings.TrimSpace(said) != ""
	})
}

func (s *session) exec(ctx context.Context, line string) *exec.Cmd {
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, words[0]), words[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start runs one of the programs in the background.
func (s *session) start(line string) *program {
	s.t.Helper()
	s.ran++
	p := &program{line: line, cmd: s.exec(context.Background(), line), out: &output{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }() // stop looks at the state
	s.running = append(s.running, p)
	return p
}

// stop ends what runs, the last first: gateways before boards and clouds.
func (s *session) stop() {
	for i := len(s.running) - 1; i >= 0; i-- {
		p := s.running[i]
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Errorf("%s: %v\n%s", p.line, err, p.out)
		}
		select {
		case <-p.done:
		case <-time.After(patience):
			s.t.Errorf("%s did not stop\n%s", p.line, p.out)
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			s.t.Errorf("%s: exit status %d\n%s", p.line, code, p.out)
		}
	}
	s.running = nil
}

// until looks again and again, as a user would, until it holds.
func (s *session) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			var said strings.Builder
			for _, p := range s.running {
				fmt.Fprintf(&said, "%s:\n%s\n", p.line, p.out)
			}
			s.t.Fatalf("never: %s\n%s", what, said.String())
		case <-tick.C:
		}
	}
}

// curl does what the line says, without curl, and returns the answer.
func (s *session) curl(line string) (status int, body string) {
	s.t.Helper()
	method, url, data := http.MethodGet, "", ""
	words := strings.Fields(strings.ReplaceAll(line, "'", ""))
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-s":
		case "-X":
			i++
			method = words[i]
		case "-d":
			i++
			data = words[i]
		default:
			url = words[i]
		}
	}
	req, err := http.NewRequest(method, url, strings.NewReader(data))
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

func (s *session) ready(url string) {
	s.t.Helper()
	s.until(url+" is ready", func() bool { status, _ := s.curl("curl " + url + "/readyz"); return status == http.StatusOK })
}

func (s *session) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}
