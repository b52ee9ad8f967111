package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// chunkTimeout bounds one chunk of a copy, which the other side fsyncs.
	chunkTimeout = 30 * time.Second
	// copyWithin bounds how long replicas take to catch up with a copy.
	copyWithin = 10 * time.Minute
	// copyChunk is what a copy has in flight.
	copyChunk = 512 << 10
)

// bring copies every stream of the store in dir, which a node alone made, into
// the cluster, by JetStream's snapshot and restore: sequences, times, headers
// and holes stay as they were.
func (s *Server) bring(ctx context.Context, dir string) error {
	old, err := startServer(ServerConfig{Dir: dir, Name: s.cfg.Name, MaxStore: s.store}, s.log)
	if err != nil {
		return err
	}
	defer old.Close()
	var all []*jetstream.StreamInfo
	logs := 0
	streams := old.js.ListStreams(ctx)
	for info := range streams.Info() {
		if all = append(all, info); isLog(info.Config.Name) {
			logs++
		}
	}
	if err := streams.Err(); err != nil {
		return err
	}
	for _, info := range all {
		// A log reserves less than it did: the rest is for the shards' history.
		if share := s.LogBytes(max(1, logs)); isLog(info.Config.Name) && int64(info.State.Bytes) < share/2 {
			info.Config.MaxBytes = min(info.Config.MaxBytes, share)
		}
		if err := s.bringStream(ctx, old, info); err != nil {
			return fmt.Errorf("stream %s: %w", info.Config.Name, err)
		}
		s.log.Info("journal: stream brought into the cluster", "stream", info.Config.Name, "messages", info.State.Msgs, "bytes", info.State.Bytes)
	}
	return nil
}

func (s *Server) bringStream(ctx context.Context, old *Server, from *jetstream.StreamInfo) error {
	name := from.Config.Name
	to, err := s.js.Stream(ctx, name)
	switch {
	case err == nil && same(from.State, to.CachedInfo().State):
		return s.untilCopied(ctx, from) // by an attempt before
	case err == nil:
		// Nobody else makes a stream before the cluster is formed: half a copy.
		if err := s.js.DeleteStream(ctx, name); err != nil {
			return err
		}
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	}
	cfg := from.Config
	cfg.Replicas = s.Replicas()
	if err := s.copyStream(ctx, old, cfg, from.State); err != nil {
		return err
	}
	return s.untilCopied(ctx, from)
}

// The requests and answers of JetStream's API for snapshots
// (docs.nats.io, JetStream wire API: STREAM.SNAPSHOT and STREAM.RESTORE).
type (
	snapshotRequest struct {
		Deliver     string `json:"deliver_subject"`
		NoConsumers bool   `json:"no_consumers"`
		ChunkSize   int    `json:"chunk_size"`
		Check       bool   `json:"jsck"`
	}
	restoreRequest struct {
		Config jetstream.StreamConfig `json:"config"`
		State  jetstream.StreamState  `json:"state"`
	}
	apiAnswer struct {
		Error   *jetstream.APIError `json:"error"`
		Deliver string              `json:"deliver_subject"`
	}
)

// copyStream sends a snapshot from the old server to the cluster, chunk by
// chunk: the next is asked for when the one before was taken.
func (s *Server) copyStream(ctx context.Context, old *Server, cfg jetstream.StreamConfig, state jetstream.StreamState) error {
	inbox := old.nc.NewInbox()
	chunks, err := old.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer chunks.Unsubscribe() //nolint:errcheck // the copy is over either way
	if _, err := call(ctx, old.nc, "$JS.API.STREAM.SNAPSHOT."+cfg.Name, snapshotRequest{inbox, true, copyChunk, true}); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	restore, err := call(ctx, s.nc, "$JS.API.STREAM.RESTORE."+cfg.Name, restoreRequest{cfg, state})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for {
		attempt, done := context.WithTimeout(ctx, chunkTimeout)
		m, err := chunks.NextMsgWithContext(attempt)
		if err == nil && m.Header.Get("Status") != "" && m.Header.Get("Status") != "204" {
			err = fmt.Errorf("%s %s", m.Header.Get("Status"), m.Header.Get("Description"))
		}
		if err != nil {
			done()
			return fmt.Errorf("snapshot: %w", err)
		}
		_, err = ask(attempt, s.nc, restore.Deliver, m.Data)
		done()
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if len(m.Data) == 0 {
			return nil
		}
		if m.Reply != "" {
			if err := m.Respond(nil); err != nil {
				return fmt.Errorf("snapshot: %w", err)
			}
		}
	}
}

func call(ctx context.Context, nc *nats.Conn, subject string, request any) (apiAnswer, error) {
	b, err := json.Marshal(request)
	if err != nil {
		return apiAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	return ask(ctx, nc, subject, b)
}

// ask sends a request and takes the error out of the answer; one without a
// body has none. That somebody listens may be known here a little later than
// the subject is: then nobody got the request, and it is sent again.
func ask(ctx context.Context, nc *nats.Conn, subject string, request []byte) (a apiAnswer, err error) {
	m, err := nc.RequestWithContext(ctx, subject, request)
	for errors.Is(err, nats.ErrNoResponders) && wait(ctx, retryPause) == nil {
		m, err = nc.RequestWithContext(ctx, subject, request)
	}
	if err != nil {
		return a, err
	}
	if len(bytes.TrimSpace(m.Data)) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, err
	}
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}

// untilCopied returns when each replica holds what the old stream held: until
// then the old one is the only whole copy.
func (s *Server) untilCopied(ctx context.Context, from *jetstream.StreamInfo) error {
	ctx, cancel := context.WithTimeout(ctx, copyWithin)
	defer cancel()
	var last string
	for {
		attempt, done := context.WithTimeout(ctx, createAttempt)
		to, err := s.js.Stream(attempt, from.Config.Name)
		done()
		switch {
		case err != nil:
			last = err.Error()
		case !same(from.State, to.CachedInfo().State):
			now := to.CachedInfo().State
			last = fmt.Sprintf("it holds %d messages from %d to %d, want %d from %d to %d",
				now.Msgs, now.FirstSeq, now.LastSeq, from.State.Msgs, from.State.FirstSeq, from.State.LastSeq)
		case !current(to.CachedInfo(), s.Replicas()):
			last = "not every replica is current"
		default:
			return nil
		}
		if err := wait(ctx, retryPause); err != nil {
			return fmt.Errorf("not copied: %s: %w", last, err)
		}
	}
}

func same(a, b jetstream.StreamState) bool {
	return a.Msgs == b.Msgs && a.FirstSeq == b.FirstSeq && a.LastSeq == b.LastSeq && a.Bytes == b.Bytes
}

// current reports whether a stream has a leader and all its followers are up
// to date.
func current(info *jetstream.StreamInfo, replicas int) bool {
	if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != replicas-1 {
		return false
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return true
}
