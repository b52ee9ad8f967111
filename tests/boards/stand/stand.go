// Package stand is where an emulated board is tested: Debian's packages, a
// folder, a cloud node on this machine if the board talks to one, and an initial
// file system with the guest and what it is to do. What is shown on a board is the affair of its
// command, which calls Main.
//
// The exit status says what was seen: 0 that all is right, 3 that the packages
// cannot be had here, so that nothing was shown and nothing was seen to be wrong
// either, 1 that something is wrong.
package stand

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// noPackages is the exit status of debian.ErrUnavailable.
const noPackages = 3

// Board is what is to be tested.
type Board struct {
	Name     string       // as in board-NAME
	Programs string       // folder with its programs
	Packages debian.Board // of Debian
	Alone    bool         // it talks to nobody: no cloud node runs on this machine
}

// Stand is a test under way.
type Stand struct {
	Packages debian.Set
	Line     *line.Line // a cloud node without gateways; nil for a board that is alone
	Programs string     // folder with the board's programs
	Dir      string     // for all that is written; it goes with a test that was good
	begin    time.Time
}

// Say tells the person before the terminal, with the time since the start.
func (s *Stand) Say(format string, args ...any) {
	fmt.Printf("%5.1fs  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

// options are the command line, beside a board's own.
type options struct {
	bin, guest, cache string
	keep              bool
}

// Main parses the command line, to which the caller may have added flags, runs
// the test, and exits with a status if it fails.
func Main(b Board, test func(context.Context, *Stand) error) {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/host", "folder with the cloud's programs for this machine")
	flag.StringVar(&o.guest, "guest", b.Programs, "folder with the board's programs")
	flag.StringVar(&o.cache, "cache", "", "folder for Debian's packages (default: atrium-boards in the user's cache folder)")
	flag.BoolVar(&o.keep, "keep", false, "keep the working folder, its logs and data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, b, o, test); err != nil {
		fmt.Fprintf(os.Stderr, "board-%s: %v\n", b.Name, err)
		status := 1
		if errors.Is(err, debian.ErrUnavailable) && ctx.Err() == nil {
			status = noPackages
		}
		stop()
		os.Exit(status)
	}
}

func run(ctx context.Context, b Board, o options, test func(context.Context, *Stand) error) (err error) {
	s := &Stand{Programs: o.guest, begin: time.Now()}
	if o.cache == "" {
		folder, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		o.cache = filepath.Join(folder, "atrium-boards")
	}
	if s.Packages, err = debian.Fetch(ctx, o.cache, b.Packages, s.Say); err != nil {
		return err
	}
	if s.Dir, err = os.MkdirTemp("", "atrium-"+b.Name+"-"); err != nil {
		return err
	}
	defer func() {
		if err != nil || o.keep {
			s.Say("logs and data are kept in %s", s.Dir)
			return
		}
		err = os.RemoveAll(s.Dir)
	}()
	if b.Alone {
		return test(ctx, s)
	}
	s.Say("starting a cloud node on this machine")
	s.Line, err = line.Start(ctx, line.Config{Bin: o.bin, Dir: filepath.Join(s.Dir, "cloud")})
	if s.Line != nil && s.Line.Cloud != nil {
		defer func() { err = errors.Join(err, s.Line.Stop()) }()
	}
	if err != nil {
		return err
	}
	return test(ctx, s)
}
