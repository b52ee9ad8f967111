package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/shared/durable"
)

// restoredMark is the file in a data folder that says that the folder was put
// back from a backup.
const restoredMark = "restored"

// errSuperseded ends a node of an incarnation that is over.
var errSuperseded = errors.New("the cluster's store was put back from a backup: what this node holds is of the time before, it has to start again")

// MarkRestored says of the data folder of a node that it was put back from a
// backup. The node's next start begins a new incarnation of the cluster before
// it claims anything. Marked on one node or on several, it comes to the same.
func MarkRestored(data string) error {
	for _, part := range []string{filepath.Join(CAFolder, identity.StoreFile), journalFolder} {
		if _, err := os.Stat(filepath.Join(data, part)); err != nil {
			return fmt.Errorf("%s is not the data folder of a node with a store: put the backup back there first: %w", data, err)
		}
	}
	f, err := os.OpenFile(filepath.Join(data, restoredMark), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncFolder(data))
}

func isRestored(data string) (bool, error) {
	_, err := os.Stat(filepath.Join(data, restoredMark))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// unmark comes after the incarnation was raised: a crash between the two raises
// it once more.
func unmark(data string) error {
	return errors.Join(os.Remove(filepath.Join(data, restoredMark)), syncFolder(data))
}

// eraFile in a worker's data folder says of which incarnation its history is. A
// worker whose program did not write it was of the first.
const (
	eraFile  = "incarnation"
	firstEra = 1
)

// renew removes the history of a worker that last ran before the store was put
// back: it holds messages of the lost time under sequences that others have now,
// and would take those for written. Parts fill it, as that of a worker which lost
// its disk. A core node's history was put back with its store.
func (n *node) renew(incarnation uint64) error {
	path := filepath.Join(n.cfg.Data, eraFile)
	was := uint64(firstEra)
	switch b, err := os.ReadFile(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if was, err = strconv.ParseUint(string(b), 10, 64); err != nil {
			return fmt.Errorf("%s holds %q, want a number: a worker may begin with a data folder that has %s alone", path, b, CAFolder)
		}
	}
	if was == incarnation {
		return nil
	}
	n.log.Warn("the store was put back since this worker ran: its history is made anew", "incarnation", was, "now", incarnation)
	if err := os.RemoveAll(n.historyFolder()); err != nil {
		return err
	}
	// Last: a crash before this removes what has just begun.
	return durable.WriteFile(path, []byte(strconv.FormatUint(incarnation, 10)), 0o600)
}

func (n *node) isWorker() bool { return n.cfg.Cluster != nil && n.cfg.Cluster.Worker }

func (n *node) historyFolder() string { return filepath.Join(n.cfg.Data, "history") }

func (n *node) openHistory() (err error) {
	n.history, err = history.Open(history.Config{Dir: n.historyFolder()}, n.log.With("part", "history"), n.reg)
	return err
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// contemporary ends the node when the store is put back under it, as a worker
// sees it that went on meanwhile.
func (n *node) contemporary(ctx context.Context) error {
	select {
	case <-n.catalog.Superseded():
		return errSuperseded
	case <-ctx.Done():
		return nil
	}
}
