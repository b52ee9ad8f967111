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
	PID   int         `json:"pid"` // of the demonstration itself
	API   string      `json:"api"`
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

// ErrNotRunning says that no demonstration runs.
var ErrNotRunning = errors.New("no demonstration runs here: `make demo` starts one")

// ReadState returns the running demonstration's state. ErrNotRunning.
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
	if syscall.Kill(s.PID, 0) != nil {
		return s, fmt.Errorf("demo: %s is of one that is gone: %w", file, ErrNotRunning)
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
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
	if err != nil {
		return fmt.Errorf("demo: process %d: %w", r.PID, err)
	}
	if exe != r.Program {
		return fmt.Errorf("demo: process %d is %s and no longer %s", r.PID, exe, r.Program)
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		return fmt.Errorf("demo: kill %d: %w", r.PID, err)
	}
	return nil
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

func (d *Demo) writeState() error {
	d.state.Lock()
	defer d.state.Unlock()
	s := State{PID: os.Getpid(), API: d.API(), Dir: d.cfg.Dir, Cloud: d.cloud.running()}
	for _, x := range d.sites {
		s.Sites = append(s.Sites, SiteState{Site: x.Name, Link: x.linkURL, Faults: x.faultURL, Gateway: x.gateway.running()})
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := d.cfg.State + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.cfg.State)
}

// removeState removes the file if it is this demonstration's.
func (d *Demo) removeState() error {
	d.state.Lock()
	defer d.state.Unlock()
	s, err := ReadState(d.cfg.State)
	if err != nil || s.PID != os.Getpid() || s.Dir != d.cfg.Dir {
		return nil
	}
	return os.Remove(d.cfg.State)
}
