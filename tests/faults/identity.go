package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/trial"
)

// identities confuse who a gateway is and what it has sent.
var identities = []scenario{
	{
		name:     "restored-card",
		protects: "a card that is restored from an older image reuses no sequence, and what is gone with it is in the ledger",
		costs:    []string{"crash", "unknown-remainder"},
		run:      restoredCard,
	},
	{
		name:     "wiped-state",
		protects: "what a gateway held that has lost its state is in the ledger",
		costs:    []string{"unknown-remainder"},
		run:      wipedState,
	},
	{
		name:     "replaced-board",
		protects: "a card that is moved to another board brings its backlog, and is no second gateway",
		needs:    []trial.Need{trial.Root},
		costs:    []string{"crash"},
		run:      replacedBoard,
	},
	{
		name:     "cloned-card",
		protects: "two boards with copies of one card are noticed, and what both send is applied",
		needs:    []trial.Need{trial.Root},
		costs:    []string{"crash", identityTwice},
		run:      clonedCard,
	},
}

// identityTwice is the ledger's word for two boards of one identity.
const identityTwice = "identity-twice"

func restoredCard(ctx context.Context, t *rig) error {
	if err := t.raise(ctx, line.Gateway{Site: "hq", Mode: "always"}); err != nil {
		return err
	}
	s := t.line.Sites[0]
	image := filepath.Join(t.Dir, "image")
	for range t.Rounds(10, 1) {
		if err := s.Acked(ctx); err != nil {
			return err
		}
		// The image is made of a running gateway, which then goes on.
		if err := syscall.Kill(s.Gateway.PID(), syscall.SIGSTOP); err != nil {
			return err
		}
		err := errors.Join(os.RemoveAll(image), disk.CopyFolder(s.State, image))
		if err := errors.Join(err, syscall.Kill(s.Gateway.PID(), syscall.SIGCONT)); err != nil {
			return err
		}
		if err := s.Delivered(ctx, 50+t.Rand.IntN(100)); err != nil {
			return err
		}
		if err := errors.Join(s.Gateway.Kill(), s.Gateway.Start(ctx), s.Linked(ctx, true), s.Acked(ctx)); err != nil {
			return err
		}
		if err := s.Cut(); err != nil {
			return err
		}
		if err := s.Delivered(ctx, 400+t.Rand.IntN(200)); err != nil { // these are gone with the image
			return err
		}
		if err := errors.Join(s.Gateway.Kill(), os.RemoveAll(s.State), disk.CopyFolder(image, s.State), s.Heal()); err != nil {
			return err
		}
		if err := errors.Join(s.Gateway.Start(ctx), s.Linked(ctx, true), s.Acked(ctx)); err != nil {
			return err
		}
	}
	return t.finishWithRemainder(ctx)
}

// finishWithRemainder is finish where something must be gone.
func (t *rig) finishWithRemainder(ctx context.Context) error {
	if err := t.finish(ctx); err != nil {
		return err
	}
	if t.Result.Remainder == 0 {
		return errors.New("nothing is gone: the scenario shows nothing")
	}
	return nil
}

func wipedState(ctx context.Context, t *rig) error {
	if err := t.raise(ctx, both()...); err != nil {
		return err
	}
	for range t.Rounds(20, 1) {
		for _, s := range t.line.Sites {
			if err := s.Cut(); err != nil {
				return err
			}
		}
		for _, s := range t.line.Sites {
			if err := s.Delivered(ctx, 50+t.Rand.IntN(200)); err != nil {
				return err
			}
			if err := errors.Join(s.Gateway.Kill(), os.RemoveAll(s.State), s.Heal(), s.Gateway.Start(ctx)); err != nil {
				return err
			}
			if err := errors.Join(s.Linked(ctx, true), s.Acked(ctx)); err != nil {
				return err
			}
		}
	}
	return t.finishWithRemainder(ctx)
}

// boarded makes a gateway's agent run on a board with a serial number of its
// own: it sees another /etc/machine-id than this machine.
func (t *rig) boarded(serial string) ([]string, error) {
	file := filepath.Join(t.Dir, "machine-id-"+serial)
	if err := os.WriteFile(file, []byte(serial+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/machine-id && exec "$@"`,
		file, filepath.Join(t.Bin, "atrium-edge"),
	}, nil
}

func replacedBoard(ctx context.Context, t *rig) error {
	const file = "a"
	agent, err := t.boarded(file)
	if err != nil {
		return err
	}
	if err := t.raise(ctx, line.Gateway{Site: "hq", Mode: "always", Edge: agent}); err != nil {
		return err
	}
	s := t.line.Sites[0]
	boards := map[string]bool{}
	for i := range t.Rounds(20, 2) {
		// Two readings of each counter at least: the checker knows from them how
		// many a crash may take.
		if err := errors.Join(s.Delivered(ctx, 20), s.Acked(ctx)); err != nil {
			return err
		}
		if err := errors.Join(s.Cut(), s.Delivered(ctx, 50+t.Rand.IntN(100)), s.Gateway.Kill()); err != nil {
			return err
		}
		// Another serial number behind the same file is another board.
		if err := os.WriteFile(filepath.Join(t.Dir, "machine-id-"+file), fmt.Appendf(nil, "%s-%d\n", file, i), 0o600); err != nil {
			return err
		}
		if err := errors.Join(s.Heal(), s.Gateway.Start(ctx), s.Linked(ctx, true), s.Acked(ctx)); err != nil {
			return err
		}
		board, err := t.board(ctx, id.Site(s.Name))
		if err != nil {
			return err
		}
		boards[board] = true
	}
	if len(boards) != t.Result.Rounds {
		return fmt.Errorf("the cloud saw %d boards of %d", len(boards), t.Result.Rounds)
	}
	return t.finish(ctx)
}

// board is what the cloud calls the board of a site's gateway.
func (t *rig) board(ctx context.Context, site id.Site) (string, error) {
	c, err := client.New(t.line.Cloud.URL())
	if err != nil {
		return "", err
	}
	gateways, err := c.Gateways(ctx, site)
	if err != nil || len(gateways) != 1 {
		return "", errors.Join(fmt.Errorf("%d gateways of %s", len(gateways), site), err)
	}
	return gateways[0].Board, nil
}

// clonedCard gives the second board other devices, as the checker could not tell
// the numbers of two counters with one name apart.
func clonedCard(ctx context.Context, t *rig) error {
	first := line.Gateway{Site: "hq", Mode: "always"}
	if err := t.raise(ctx, first); err != nil {
		return err
	}
	t.Rounds(1, 1)
	a := t.line.Sites[0]
	if err := errors.Join(a.Cut(), a.Delivered(ctx, 100), a.Gateway.Kill()); err != nil {
		return err
	}
	agent, err := t.boarded("clone")
	if err != nil {
		return err
	}
	clone := filepath.Join(t.Dir, "clone", "state")
	if err := errors.Join(os.MkdirAll(filepath.Dir(clone), 0o700), disk.CopyFolder(a.State, clone)); err != nil {
		return err
	}
	if err := errors.Join(a.Heal(), a.Gateway.Start(ctx), a.Linked(ctx, true)); err != nil {
		return err
	}
	b, err := t.line.Raise(ctx, hasty(line.Gateway{
		Site: "hq", Mode: "always", First: 4, Folder: "clone", State: clone, Edge: agent,
		Identity: filepath.Join(t.Dir, "hq", "certs"),
	}))
	if err != nil {
		return err
	}
	if err := t.noticedTwice(ctx); err != nil {
		return err
	}
	// One after the other, as a connection of one ends that of the other.
	for _, s := range []*line.Site{a, b} {
		if err := s.Gateway.Kill(); err != nil {
			return err
		}
	}
	for _, s := range []*line.Site{a, b} {
		if err := errors.Join(s.Gateway.Start(ctx), s.Linked(ctx, true), s.Acked(ctx), s.Gateway.Stop()); err != nil {
			return err
		}
	}
	return t.finish(ctx)
}

// noticedTwice waits until the ledger says that two boards use one identity.
func (t *rig) noticedTwice(ctx context.Context) error {
	c, err := client.New(t.line.Cloud.URL())
	if err != nil {
		return err
	}
	return line.Until(ctx, identityTwice, func() (bool, error) {
		ledger, err := c.Ledger(ctx, "hq")
		return slices.ContainsFunc(ledger, func(l client.LedgerEntry) bool { return l.Reason == identityTwice }), err
	})
}
