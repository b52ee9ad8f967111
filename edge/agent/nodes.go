package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/shared/wire"
)

// nodes keeps the addresses of the cluster's gates over restarts, one a line:
// if every address in edge.yaml is gone by then, they are the way back. The
// file is a hint: without it, or with a damaged one, edge.yaml's are dialled.
type nodes struct {
	path  string
	log   *slog.Logger
	known []string
}

// maxNodesFile bounds the file.
const maxNodesFile = wire.MaxNodes * (wire.MaxText + 1)

func openNodes(state string, log *slog.Logger) *nodes {
	n := &nodes{path: filepath.Join(state, "nodes"), log: log}
	known, err := readNodes(n.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the addresses of the cluster's gates are not known from before", "error", err)
	}
	n.known = known
	return n
}

func readNodes(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(b))
	if len(b) > maxNodesFile || len(lines) > wire.MaxNodes {
		return nil, fmt.Errorf("%s: %d bytes, %d lines: want at most %d addresses", path, len(b), len(lines), wire.MaxNodes)
	}
	for _, a := range lines {
		if err := wire.CheckAddress(a); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return lines, nil
}

// learn writes the addresses if they are others than before: flash wears. It
// is the uplink's OnNodes. Nothing is fsynced, as nothing is lost with them.
func (n *nodes) learn(addresses []string) {
	if slices.Equal(addresses, n.known) {
		return
	}
	n.known = slices.Clone(addresses)
	next := n.path + ".new"
	err := os.WriteFile(next, []byte(strings.Join(addresses, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(next, n.path)
	}
	if err != nil {
		n.log.Warn("the addresses of the cluster's gates are not kept", "error", err)
	}
}
