package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// StateFile is where a running demonstration says what it is made of, so that
// `atrium link` and `atrium kill` find it: one a user.
func StateFile() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "atrium-demo-"+strconv.Itoa(os.Getuid())+".json")
}

// State is the content of StateFile.
type State struct {
	Demo  Running     `json:"demo"` // the demonstration itself; without URL while it starts
	Dir   string      `json:"dir"`
	Cloud Running     `json:"cloud"`
	Sites []SiteState `json:"sites"`
}

// SiteState is what stands in one site.
type SiteState struct {
	Site    string  `json:"site"`
	Link    string  `json:"link"`   // the link's control
	Faults  string  `json:"faults"` // the board's control
	Gateway Running `json:"gateway"`
}

// Running is a process that may be killed.
type Running struct {
	PID     int    `json:"pid"`
	Program string `json:"program"` // its file, by which a reused id is told
	URL     string `json:"url"`
}

var (
	// ErrNotRunning says that no demonstration runs.
	ErrNotRunning = errors.New("no demonstration runs here: `make demo` starts one")
	// ErrStarting says that it does not run yet.
	ErrStarting = errors.New("the demonstration is starting: try again in a moment")

	errDown = errors.New("down already: the demonstration starts it again")
)

// ReadState returns the running demonstration's state. ErrNotRunning, ErrStarting.
func ReadState(file string) (State, error) {
	var s State
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("demo: %w", ErrNotRunning)
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("demo: %s: %w", file, err)
	}
	if s.Demo.check() != nil {
		return s, fmt.Errorf("demo: %s is of one that is gone: %w", file, ErrNotRunning)
	}
	if s.Demo.URL == "" {
		return s, fmt.Errorf("demo: %w", ErrStarting)
	}
	return s, nil
}

// Site returns a site by name.
func (s *State) Site(name string) (SiteState, error) {
	i := slices.IndexFunc(s.Sites, func(x SiteState) bool { return x.Site == name })
	if i < 0 {
		var names []string
		for _, x := range s.Sites {
			names = append(names, x.Site)
		}
		return SiteState{}, fmt.Errorf("demo: site %q: want one of %q", name, names)
	}
	return s.Sites[i], nil
}

// SetLink cuts a site's link, or heals it.
func (s SiteState) SetLink(cut bool) error {
	path := "/heal"
	if cut {
		path = "/cut"
	}
	return post(s.Link+path, "")
}

// Kill ends the process as a power switch would, if it still is the program
// that the demonstration started.
func (r Running) Kill() error {
	if err := r.check(); err != nil {
		return fmt.Errorf("demo: %s (process %d): %w", filepath.Base(r.Program), r.PID, err)
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		return fmt.Errorf("demo: kill %d: %w", r.PID, err)
	}
	return nil
}

// check says why it does not run.
func (r Running) check() error {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
	if err == nil && strings.TrimSuffix(exe, " (deleted)") == r.Program { // deleted: built anew meanwhile
		return nil
	}
	return errDown
}

func (m *member) running() Running {
	program := m.program
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	return Running{PID: m.process.PID(), Program: program, URL: m.process.URL()}
}

// restarted renews the state file: a process has another id. That it fails is
// shown by what the commands then say.
func (d *Demo) restarted() { _ = d.writeState() }

// claim writes the first state, of a demonstration that starts: one at a time.
func (d *Demo) claim() error {
	d.state.Lock()
	defer d.state.Unlock()
	tmp, err := d.writeBeside(State{Demo: self("")})
	if err != nil {
		return fmt.Errorf("the state file: %w", err)
	}
	defer os.Remove(tmp)
	for {
		err := os.Link(tmp, d.cfg.State) // unlike a rename it fails if another was quicker
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		s, err := ReadState(d.cfg.State)
		if err == nil || errors.Is(err, ErrStarting) {
			return fmt.Errorf("one runs already (process %d): end it, or give this one an XDG_RUNTIME_DIR of its own", s.Demo.PID)
		}
		// Of one that is gone.
		if err := os.Remove(d.cfg.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

func (d *Demo) writeState() error {
	d.state.Lock()
	defer d.state.Unlock()
	s := State{Demo: self(d.API()), Dir: d.cfg.Dir, Cloud: d.cloud.running()}
	for _, x := range d.sites {
		s.Sites = append(s.Sites, SiteState{Site: x.Name, Link: x.linkURL, Faults: x.faultURL, Gateway: x.gateway.running()})
	}
	tmp, err := d.writeBeside(s)
	if err != nil {
		return err
	}
	return os.Rename(tmp, d.cfg.State)
}

// writeBeside writes a state to a file of this process's own.
func (d *Demo) writeBeside(s State) (file string, err error) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return "", err
	}
	file = fmt.Sprintf("%s.%d", d.cfg.State, os.Getpid())
	return file, os.WriteFile(file, b, 0o600)
}

// self is this process.
func self(url string) Running {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		program = os.Args[0]
	}
	return Running{PID: os.Getpid(), Program: strings.TrimSuffix(program, " (deleted)"), URL: url}
}

// removeState removes the file if it is this demonstration's.
func (d *Demo) removeState() error {
	d.state.Lock()
	defer d.state.Unlock()
	s, err := ReadState(d.cfg.State)
	if err != nil && !errors.Is(err, ErrStarting) || s.Demo.PID != os.Getpid() {
		return nil
	}
	return os.Remove(d.cfg.State)
}
