package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

const (
	// nodeKey and drainKey are what the keys of the documents begin with.
	nodeKey  = "node."
	drainKey = "drain."
	// beatsPerWrite makes a write a second of four beats: each is a round of
	// fsyncs on a majority.
	beatsPerWrite = 4
	// writeWithin bounds one write: a node whose write takes as long is cut off.
	writeWithin = cutOffAfter
	// maxTries bounds how often one change of a key is tried when others write it.
	maxTries = 4
	// watchPause is between two tries to watch the store.
	watchPause = time.Second
)

// letter is a document to write, and when its node said so.
type letter struct {
	document []byte
	at       time.Time
}

// write stores this node's document, and takes note of what a majority has
// committed. A write that takes longer than a second is one write a second less.
func (m *Membership) write(ctx context.Context) {
	var revision uint64
	for {
		select {
		case l := <-m.due:
			var err error
			revision, err = m.writeOne(ctx, revision, l.document)
			if err == nil {
				m.commit(l.at)
			} else if ctx.Err() == nil {
				m.metrics.unwritten.Inc()
				m.blame(err, "this node's document was not written")
			}
			m.forget(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// writeOne puts the document over what is there, and returns its revision for
// the next.
func (m *Membership) writeOne(ctx context.Context, revision uint64, b []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	for try := 0; ; try++ {
		next, err := m.kv.Put(ctx, nodeKey+m.cfg.Node, b, revision)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, journal.ErrConflict) || try == maxTries {
			return revision, err
		}
		if revision, err = m.revisionOf(ctx, nodeKey+m.cfg.Node); err != nil {
			return 0, err
		}
	}
}

// revisionOf returns the revision of a key, 0 if it does not exist.
func (m *Membership) revisionOf(ctx context.Context, key string) (uint64, error) {
	e, err := m.kv.Get(ctx, key)
	if errors.Is(err, journal.ErrNotFound) {
		return 0, nil
	}
	return e.Revision, err
}

func (m *Membership) commit(began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.committed = began
}

// forget removes the document of a node that has been dead for a day. Every
// node does, and one of them succeeds.
func (m *Membership) forget(ctx context.Context) {
	m.mu.Lock()
	name, revision, ok := m.m.forgettable(time.Now())
	m.mu.Unlock()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	err := m.kv.Delete(ctx, nodeKey+name, revision)
	if !errors.Is(err, journal.ErrConflict) {
		m.blame(err, "the document of a node that is gone was not removed")
	}
}

// removeOwn removes this node's document.
func (m *Membership) removeOwn(ctx context.Context) error {
	return m.remove(ctx, nodeKey+m.cfg.Node)
}

func (m *Membership) remove(ctx context.Context, key string) error {
	for try := 0; ; try++ {
		revision, err := m.revisionOf(ctx, key)
		if err != nil || revision == 0 {
			return err
		}
		err = m.kv.Delete(ctx, key, revision)
		if !errors.Is(err, journal.ErrConflict) || try == maxTries {
			return err
		}
	}
}

// Drain says of a node, known or not, that it is to be emptied, or no longer.
// Every node gets to know, also those that start later, and that node itself.
func (m *Membership) Drain(ctx context.Context, node string, on bool) error {
	if err := m.setDrain(ctx, node, on); err != nil {
		return fmt.Errorf("membership: drain %s: %w", node, err)
	}
	return nil
}

func (m *Membership) setDrain(ctx context.Context, node string, on bool) error {
	if err := checkName(node); err != nil {
		return err
	}
	if !on {
		return m.remove(ctx, drainKey+node)
	}
	revision, err := m.revisionOf(ctx, drainKey+node)
	if err != nil || revision != 0 {
		return err
	}
	_, err = m.kv.Put(ctx, drainKey+node, []byte(m.cfg.Node), 0)
	if errors.Is(err, journal.ErrConflict) {
		return nil // another said so at the same time
	}
	return err
}

// watch reads what the store says of the nodes, for ever.
func (m *Membership) watch(ctx context.Context) {
	for {
		seen := keys{nodes: make(map[string]bool), drains: make(map[string]bool)}
		err := m.kv.Watch(ctx, func(e journal.Entry) { m.read(e, &seen) }, func() {
			m.take(event{kind: shown, keys: seen})
		})
		if ctx.Err() != nil {
			return
		}
		m.blame(err, "the store of the nodes' documents cannot be watched")
		t := time.NewTimer(watchPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// read takes one entry of the store.
func (m *Membership) read(e journal.Entry, seen *keys) {
	if name, ok := strings.CutPrefix(e.Key, drainKey); ok {
		seen.drains[name] = e.Value != nil
		m.take(event{kind: drain, name: name, on: e.Value != nil})
		return
	}
	name, ok := strings.CutPrefix(e.Key, nodeKey)
	if !ok {
		return
	}
	seen.nodes[name] = e.Value != nil
	if e.Value == nil {
		m.take(event{kind: erased, name: name})
		return
	}
	d, err := parseDocument(e.Value)
	if err == nil && d.Name != name {
		err = fmt.Errorf("the document of %q is under the key of %q", d.Name, name)
	}
	if err != nil {
		m.metrics.malformed.Inc()
		m.blame(err, "the document of a node was not understood")
		return
	}
	m.take(event{kind: written, doc: d, revision: e.Revision})
}
