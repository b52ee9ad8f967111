package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/atrium-iot/atrium/cloud/identity"
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
