// Command mutants applies each deliberate fault in this folder to the sources,
// one at a time and without touching the working tree (go's -overlay), and
// requires that the test which the fault names fails. A fault that no test
// notices, or that no longer applies or compiles, fails the run.
//
// A fault is a unified diff with a head of three lines:
//
//	Fault: what the change gets wrong
//	Invariant: I2
//	Test: ./cloud/gate TestAFrameIsAckedOnlyAfterItIsDurable
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// testTimeout ends a mutant that hangs its test; a hang is a failure that the
// test found.
const testTimeout = "120s"

// tries is how often a test may look for a fault: those that draw their
// interleavings at random find some faults in most runs, not in all.
const tries = 3

// errSurvived says that the test passed with the fault in it.
var errSurvived = errors.New("passed with the fault in it")

// fault is one deliberate mistake.
type fault struct {
	name, what, invariant string
	pkg, test             string
	files                 []string
	patch                 string // absolute path
}

func main() {
	only := flag.String("run", "", "only faults whose name contains this")
	atOnce := flag.Int("p", 2, "how many to hunt at a time, of different packages")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "mutants: unexpected argument %q: -run NAME selects faults\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	patches, err := filepath.Glob("tests/mutants/*.patch")
	if err != nil || len(patches) == 0 {
		fmt.Fprintln(os.Stderr, "mutants: no faults found: run from the repository's root")
		os.Exit(1)
	}
	// Packages, not faults, go side by side: rapid leaves failures in the
	// package's folder, which each hunt cleans up.
	var packages []string
	faults := map[string][]fault{}
	var h hunt
	for _, p := range patches {
		if !strings.Contains(filepath.Base(p), *only) {
			continue
		}
		f, err := parse(p)
		if err != nil {
			h.report(f, 0, err)
			continue
		}
		if len(faults[f.pkg]) == 0 {
			packages = append(packages, f.pkg)
		}
		faults[f.pkg] = append(faults[f.pkg], f)
	}
	g := new(errgroup.Group)
	g.SetLimit(max(*atOnce, 1))
	for _, pkg := range packages {
		g.Go(func() error {
			for _, f := range faults[pkg] {
				begin := time.Now()
				err := f.hunt(ctx)
				for try := 2; try <= tries && errors.Is(err, errSurvived); try++ {
					fmt.Printf("again  %-28s %s passed with it, try %d of %d\n", f.name, f.test, try, tries)
					err = f.hunt(ctx)
				}
				h.report(f, time.Since(begin), err)
			}
			return nil
		})
	}
	_ = g.Wait() // what fails is reported
	fmt.Printf("%d passed, %d failed\n", h.caught, len(h.missed))
	if len(h.missed) > 0 { // again: a long list hides them
		fmt.Printf("missed: %s\n", strings.Join(h.missed, " "))
	}
	if len(h.missed) > 0 || h.caught == 0 {
		stop()
		os.Exit(1)
	}
}

// hunt counts and prints what became of the faults.
type hunt struct {
	mu     sync.Mutex
	caught int
	missed []string
}

func (h *hunt) report(f fault, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.missed = append(h.missed, f.name)
		fmt.Printf("MISSED %-28s %v\n", f.name, err)
		return
	}
	h.caught++
	fmt.Printf("caught %-28s %-3s by %s in %.1fs: %s\n", f.name, f.invariant, f.test, took.Seconds(), f.what)
}

func parse(path string) (fault, error) {
	f := fault{name: strings.TrimSuffix(filepath.Base(path), ".patch")}
	b, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if f.patch, err = filepath.Abs(path); err != nil {
		return f, err
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		if v, ok := strings.CutPrefix(line, "Fault: "); ok {
			f.what = v
		} else if v, ok := strings.CutPrefix(line, "Invariant: "); ok {
			f.invariant = v
		} else if v, ok := strings.CutPrefix(line, "Test: "); ok {
			f.pkg, f.test, _ = strings.Cut(v, " ")
		} else if v, ok := strings.CutPrefix(line, "+++ b/"); ok {
			f.files = append(f.files, v)
		}
	}
	if f.what == "" || f.invariant == "" || f.test == "" || len(f.files) == 0 {
		return f, fmt.Errorf("%s: want the head Fault, Invariant, Test: PKG NAME, and a diff", path)
	}
	return f, nil
}

// hunt applies the fault beside the tree and runs its test, which must fail.
func (f fault) hunt(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := f.overlay(ctx, dir)
	if err != nil {
		return err
	}
	defer f.forget()()
	out, err := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-count=1", "-timeout", testTimeout, "-run", "^"+f.test+"$", f.pkg).CombinedOutput()
	if err == nil {
		return fmt.Errorf("%s %s %w\n%s", f.pkg, f.test, errSurvived, out)
	}
	if bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")) {
		return fmt.Errorf("does not compile: %w\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("FAIL: "+f.test)) && !bytes.Contains(out, []byte("panic: ")) {
		return fmt.Errorf("%s did not run: %w\n%s", f.test, err, out)
	}
	return nil
}

// forget notes whether rapid has left failures in the package's folder, and
// returns what removes those that the fault adds: the next run of the tests
// would begin with them.
func (f fault) forget() (clean func()) {
	data := filepath.Join(f.pkg, "testdata")
	failures := filepath.Join(data, "rapid")
	if _, err := os.Stat(failures); err == nil {
		return func() {}
	}
	return func() {
		// What cannot be removed is seen by git; a testdata that holds more stays.
		_ = os.RemoveAll(failures)
		_ = os.Remove(data)
	}
}

// overlay writes the changed files into dir and returns the JSON file that
// tells the go tool to read them in place of the tree's.
func (f fault) overlay(ctx context.Context, dir string) (string, error) {
	replace := map[string]string{}
	for _, name := range f.files {
		src, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(at, src, 0o600); err != nil {
			return "", err
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		replace[abs] = at
	}
	apply := exec.CommandContext(ctx, "git", "apply", "--whitespace=nowarn", f.patch)
	apply.Dir = dir
	// The folder is no repository; git must not look for one above it.
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GIT_DIR=")
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not apply: %w\n%s", err, out)
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}
