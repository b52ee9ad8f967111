package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/atrium-iot/atrium/shared/durable"
)

const (
	// formed is the stream whose existence says that the cluster's store is
	// there, with all that its founder brought in.
	formed = "FORMED"
	// formedBytes: nothing is ever stored in it.
	formedBytes = 64 << 10
	// alone is the folder to which a founder's store of its time alone is moved
	// while it is brought in; brought, when that is done.
	alone   = "alone"
	brought = "brought"
	// formAttempt bounds one look for the cluster, whose other nodes may be
	// started by hand.
	formAttempt = 2 * time.Second
)

// Form returns when the cluster's store is there: at once on a node alone, on
// others when a majority of core nodes runs and the founder is done, for which
// it needs all core nodes once. Before, no stream may be opened. The founder first brings in the store of its time
// alone: it copies each stream with its sequences and times to the cluster,
// compares, and only then removes the old one. That may be interrupted at any
// moment and begins again with the next start; meanwhile it needs the disk
// space of both.
func (s *Server) Form(ctx context.Context) error {
	if s.cfg.Cluster == nil {
		return nil
	}
	if err := s.form(ctx); err != nil {
		return fmt.Errorf("journal: form cluster: %w", err)
	}
	return nil
}

func (s *Server) form(ctx context.Context) error {
	for {
		there, err := s.isFormed(ctx)
		switch {
		case err == nil && there:
			return s.forget()
		case err == nil && s.cfg.Cluster.Founder:
			return s.found(ctx)
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		}
		if wait(ctx, retryPause) != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// isFormed asks the cluster. An error means that it has no majority yet.
func (s *Server) isFormed(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, formAttempt)
	defer cancel()
	_, err := s.js.Stream(ctx, formed)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	return err == nil, err
}

// found brings in what there is and then makes the stream that says so.
func (s *Server) found(ctx context.Context) error {
	old := filepath.Join(s.cfg.Dir, alone)
	if exists(old) {
		if err := s.bring(ctx, old); err != nil {
			return fmt.Errorf("bring in the store of the time alone (it is kept in %s): %w", old, err)
		}
		if err := os.Rename(old, filepath.Join(s.cfg.Dir, brought)); err != nil {
			return err
		}
		if err := durable.SyncDir(s.cfg.Dir); err != nil {
			return err
		}
	}
	for {
		_, err := s.openStream(ctx, jetstream.StreamConfig{Name: formed, Subjects: []string{"formed"}, MaxBytes: formedBytes, Discard: jetstream.DiscardNew})
		if err == nil {
			return s.forget()
		}
		if wait(ctx, retryPause) != nil { // two of the nodes may come late
			return err
		}
	}
}

// forget removes the founder's old store once the cluster has it.
func (s *Server) forget() error {
	if old := filepath.Join(s.cfg.Dir, alone); !s.worker() && exists(old) {
		return fmt.Errorf("the cluster was formed without the store in %s: move that away, or give its node a cluster of its own", old)
	}
	if s.worker() {
		return nil
	}
	return os.RemoveAll(filepath.Join(s.cfg.Dir, brought))
}

// checkStore keeps a store from being opened as what it is not. The server
// itself would start: a cluster deletes the streams of a store that was made
// alone, and a node alone would fork a cluster's.
func checkStore(cfg ServerConfig) error {
	old := filepath.Join(cfg.Dir, alone)
	aside := exists(old) || exists(old+moving)
	clustered := exists(filepath.Join(cfg.Dir, "jetstream", "$SYS", "_js_", "_meta_"))
	if cfg.Cluster == nil {
		if clustered || aside {
			return fmt.Errorf("the store in %s is a cluster's: start this node as one of it", cfg.Dir)
		}
		return nil
	}
	streams, err := os.ReadDir(filepath.Join(cfg.Dir, "jetstream", "$G", "streams"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	switch {
	case exists(old + moving):
		return setAside(cfg.Dir) // a crash was in between
	case clustered || len(streams) == 0:
		return nil
	case !cfg.Cluster.Founder:
		return fmt.Errorf("the store in %s was made by a node alone: only the cluster's founder brings in what it holds", cfg.Dir)
	}
	return setAside(cfg.Dir)
}

// moving marks the folder alone until the store is in it.
const moving = ".moving"

// setAside moves a store that was made alone out of the cluster's way.
func setAside(dir string) error {
	from, old := filepath.Join(dir, "jetstream"), filepath.Join(dir, alone)
	if err := os.MkdirAll(old+moving, 0o700); err != nil {
		return err
	}
	if to := filepath.Join(old+moving, "jetstream"); !exists(to) {
		if err := os.Rename(from, to); err != nil {
			return err
		}
	}
	if err := os.Rename(old+moving, old); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
