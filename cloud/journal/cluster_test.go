package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// open3 opens a log of its own with objects and documents, on one node.
func open3(t testing.TB, s *journal.Server, shard int) journaltest.Harness {
	t.Helper()
	ctx := t.Context()
	l, err := journal.OpenLog(ctx, s, shard, journal.LogConfig{MaxBytes: s.LogBytes(journal.MaxShards)}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := journal.OpenObjects(ctx, s, shard, s.ObjectBytes(journal.MaxShards))
	if err != nil {
		t.Fatal(err)
	}
	k, err := journal.OpenKV(ctx, s, fmt.Sprintf("test%d", shard))
	if err != nil {
		t.Fatal(err)
	}
	return journaltest.Harness{Log: l, Objects: o, KV: k}
}

// The contract of a node alone holds for three: the caller's node is now the
// stream's leader, now a follower. Each case has a shard of its own.
func TestTheReplicatedLogKeepsItsContract(t *testing.T) {
	t.Parallel()
	nodes := journaltest.StartNodes(t)
	shard := 0
	journaltest.Contract(t, func(t *testing.T) journaltest.Harness {
		shard++
		at := shard
		h := open3(t, nodes.Servers[at%3], at)
		h.Crash = func() journaltest.Harness { return open3(t, crash(t, nodes).Servers[at%3], at) }
		return h
	})
}

// crash copies the folders of running nodes, stops them, and starts others on
// the copies: what a power cut of all three leaves of processes, not of disks.
func crash(t *testing.T, nodes *journaltest.Nodes) *journaltest.Nodes {
	t.Helper()
	after := t.TempDir()
	for i, c := range nodes.Configs {
		dir := filepath.Join(after, c.Name)
		for tries := 1; ; tries++ { // the servers rename files while they are copied
			err := os.CopyFS(dir, os.DirFS(c.Dir))
			if err == nil {
				break
			}
			if tries == 10 {
				t.Fatal(err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		nodes.Configs[i].Dir = dir
	}
	nodes.StopAll()
	nodes.StartAll()
	return nodes
}

// A worker has no folder and no replica, and writes and reads like any node.
func TestAWorkerUsesWhatTheCoreNodesHold(t *testing.T) {
	t.Parallel()
	nodes := journaltest.StartNodes(t)
	w := nodes.StartWorker("w1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := journal.OpenLog(ctx, w, 1, journal.LogConfig{}, quiet(), nil); err == nil || !strings.Contains(err.Error(), "no core node has made it") {
		t.Fatalf("a worker opened a log that nobody made: %v", err)
	}
	core := open3(t, nodes.Servers[1], 1)
	if _, err := core.Log.PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n2"}); err != nil {
		t.Fatal(err)
	}
	h := open3(t, w, 1)
	seq, err := h.Log.Publish(t.Context(), []journal.Record{journaltest.GatewayRecord("a")})
	if err != nil || seq != 2 {
		t.Fatalf("publish = %d, %v", seq, err)
	}
	r, err := core.Log.Read(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m, err := r.Next(t.Context()); err != nil || string(m.Records[0].Body) != "a" {
		t.Fatalf("a core node reads %+v, %v", m, err)
	}
	if err := h.Objects.Put(t.Context(), "site.hq.1", []byte("state")); err != nil {
		t.Fatal(err)
	}
	if b, err := core.Objects.Get(t.Context(), "site.hq.1"); err != nil || string(b) != "state" {
		t.Fatalf("a core node gets %q, %v", b, err)
	}
	if err := w.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A running single node becomes the first of three: what it acked, with its
// sequences, times, fence and revisions, is the cluster's.
func TestANodeAloneBecomesTheFirstOfThree(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	nodes := journaltest.NewNodes(t)
	founder := nodes.Configs[0]
	founder.Cluster = nil
	lone, err := journal.StartServer(founder, quiet())
	if err != nil {
		t.Fatal(err)
	}
	h := open3(t, lone, 0)
	want := fill(t, h)
	lone.Close()

	stranger := nodes.Configs[1]
	stranger.Dir = founder.Dir
	if _, err := journal.StartServer(stranger, quiet()); err == nil || !strings.Contains(err.Error(), "only the cluster's founder") {
		t.Fatalf("another node than the founder took the store: %v", err)
	}
	// The first try comes to nothing: the other nodes are not there.
	s := nodes.Start(0)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.Form(short); err == nil {
		t.Fatal("one of three formed a cluster")
	}
	nodes.Stop(0)
	if _, err := journal.StartServer(founder, quiet()); err == nil || !strings.Contains(err.Error(), "is a cluster's") {
		t.Fatalf("a cluster's store was opened alone: %v", err)
	}
	// The second is cut short midway: half a copy of a stream.
	for i := range nodes.Servers {
		nodes.Start(i)
	}
	half := jetstream.StreamConfig{Name: "INGEST_0", Subjects: []string{"in.0.>"}, Replicas: 3}
	for half.Storage = jetstream.FileStorage; ; {
		attempt, done := context.WithTimeout(ctx, 2*time.Second)
		_, err := nodes.Servers[0].JetStream().CreateStream(attempt, half)
		done()
		if err == nil {
			break
		}
	}
	nodes.StartAll()
	for i := range nodes.Servers {
		check(t, open3(t, nodes.Servers[i], 0), want)
	}
	fillsUp(t, nodes.Servers[1])
	if left, err := filepath.Glob(filepath.Join(founder.Dir, "*")); err != nil || len(left) != 3 { // jetstream, limit, lock
		t.Fatalf("the founder's folder holds %v, %v", left, err)
	}
	nodes.Stop(0)
	if err := nodes.Start(0).Form(ctx); err != nil {
		t.Fatalf("the founder starts again: %v", err)
	}
}

// fillsUp opens a shard's bucket of history and fills it: what it answers then
// makes the owner remove what is oldest (I5).
func fillsUp(t *testing.T, s *journal.Server) {
	t.Helper()
	o, err := journal.OpenHistory(t.Context(), s, 0, 2<<20)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil && n < 8; n++ {
		err = o.Put(t.Context(), fmt.Sprint(n), make([]byte, 600<<10))
	}
	if n != 4 || !errors.Is(err, journal.ErrFull) {
		t.Fatalf("put %d: %v", n, err)
	}
	if err := o.Delete(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	if err := o.Put(t.Context(), "last", make([]byte, 600<<10)); err != nil {
		t.Fatal(err)
	}
}

// Why Form copies: a cluster knows nothing of the streams that a node of it has
// stored alone. One that is made by that name holds what its first leader had,
// so that two times of three it is empty. Nothing relies on it.
func TestAClusterForgetsWhatANodeStoredAlone(t *testing.T) {
	waitsForElections(t)
	ctx := t.Context()
	nodes := journaltest.NewNodes(t)
	nodes.Start(0) // as one of three, so that its store passes for a cluster's
	nodes.Stop(0)
	alone := journal.ServerConfig{Dir: t.TempDir(), Name: "n1", MaxStore: testStore}
	lone, err := journal.StartServer(alone, quiet())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, open3(t, lone, 0))
	lone.Close()
	in := filepath.Join(nodes.Configs[0].Dir, "jetstream", "$G")
	if err := os.CopyFS(in, os.DirFS(filepath.Join(alone.Dir, "jetstream", "$G"))); err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Servers {
		nodes.Start(i)
	}
	js := nodes.Servers[0].JetStream()
	for {
		attempt, done := context.WithTimeout(ctx, 2*time.Second)
		_, err = js.Stream(attempt, "INGEST_0")
		done()
		if code(err) != 0 { // the cluster has a leader, who answers
			break
		}
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatalf("the stream that n1 has on its disk: %v, want it unknown", err)
	}
	nodes.StartAll()
	first, last, err := open3(t, nodes.Servers[0], 0).Log.Bounds(ctx)
	t.Logf("made again under n%d it holds %d to %d, %v", leaderOf(t, nodes, 0)+1, first, last, err)
}

// kept is what a store must still hold.
type kept struct {
	first, token uint64
	messages     []journal.Message
	revision     uint64
	object       []byte
}

// fill makes a store with a purged front, a replaced object and a deleted key.
func fill(t *testing.T, h journaltest.Harness) (k kept) {
	t.Helper()
	ctx := t.Context()
	must := func(n uint64, err error) uint64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	b := journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}
	token := must(h.Log.PublishBarrier(ctx, 0, b))
	for i := range 50 {
		must(h.Log.Publish(ctx, []journal.Record{journaltest.GatewayRecord(fmt.Sprint(i))}))
	}
	k.token = must(h.Log.PublishBarrier(ctx, token, b))
	k.first = k.token
	must(0, h.Log.Purge(ctx, k.first))
	for i := range 50 {
		must(h.Log.Publish(ctx, []journal.Record{journaltest.GatewayRecord(fmt.Sprint(i))}))
	}
	k.messages = readFrom(t, h.Log, k.first)
	k.object = bytes.Repeat([]byte("0123456789"), 50_000)
	must(0, h.Objects.Put(ctx, "site.hq.1", []byte("old")))
	must(0, h.Objects.Put(ctx, "site.hq.1", k.object))
	gone := must(h.KV.Put(ctx, "gone", []byte("x"), 0))
	must(0, h.KV.Delete(ctx, "gone", gone))
	k.revision = must(h.KV.Put(ctx, "shard.0", []byte("owner"), 0))
	return k
}

func check(t *testing.T, h journaltest.Harness, k kept) {
	t.Helper()
	ctx := t.Context()
	if got := readFrom(t, h.Log, k.first)[:len(k.messages)]; !reflect.DeepEqual(got, k.messages) {
		t.Fatal("messages differ: of sequence, time or content")
	}
	if _, err := h.Log.Read(ctx, k.first-1); !errors.Is(err, journal.ErrGap) {
		t.Fatalf("below the first message: %v", err)
	}
	if _, err := h.Log.PublishFenced(ctx, k.token-1, []journal.Record{tick()}); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("an old token: %v", err)
	}
	if _, err := h.Log.PublishFenced(ctx, k.token, []journal.Record{tick()}); err != nil {
		t.Fatalf("the owner's token: %v", err)
	}
	if e, err := h.KV.Get(ctx, "shard.0"); err != nil || e.Revision != k.revision || string(e.Value) != "owner" {
		t.Fatalf("document: %+v, %v", e, err)
	}
	if _, err := h.KV.Get(ctx, "gone"); !errors.Is(err, journal.ErrNotFound) {
		t.Fatalf("a deleted key: %v", err)
	}
	if got, err := h.Objects.Get(ctx, "site.hq.1"); err != nil || !bytes.Equal(got, k.object) {
		t.Fatalf("object: %d bytes, %v", len(got), err)
	}
}

func tick() journal.Record {
	return journal.Record{Kind: journal.KindTick, Origin: "n1", Site: "hq", Body: journal.AppendTick(nil)}
}

// readFrom reads to the last message, densely.
func readFrom(t *testing.T, l journaltest.Journal, from uint64) (all []journal.Message) {
	t.Helper()
	_, last, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for seq := from; seq <= last; seq++ {
		m, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestAClusterThatCannotWorkIsRefusedAtTheStart(t *testing.T) {
	nodes := journaltest.NewNodes(t)
	for want, spoil := range map[string]func(*journal.ClusterConfig){
		"id and TLS":              func(c *journal.ClusterConfig) { c.TLS = nil },
		"at least 3":              func(c *journal.ClusterConfig) { c.Core = c.Core[:2] },
		"each once":               func(c *journal.ClusterConfig) { c.Core = []string{c.Core[0], c.Core[1], c.Core[1]} },
		"is not among them":       func(c *journal.ClusterConfig) { c.Address = "192.0.2.1:7000" },
		"want HOST:PORT":          func(c *journal.ClusterConfig) { c.Listen = "here" },
		"want a port from 1":      func(c *journal.ClusterConfig) { c.Listen = "127.0.0.1:0" },
		"with a host is required": func(c *journal.ClusterConfig) { c.Listen = "0.0.0.0:7000" },
		"cannot found one":        func(c *journal.ClusterConfig) { c.Worker = true },
		"address already in use":  nil,
	} {
		cfg := nodes.Configs[0]
		cluster := *cfg.Cluster
		cfg.Cluster = &cluster
		if spoil == nil {
			l, err := net.Listen("tcp", cluster.Listen)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		} else {
			spoil(&cluster)
		}
		if s, err := journal.StartServer(cfg, quiet()); err == nil || !strings.Contains(err.Error(), want) {
			if s != nil {
				s.Close()
			}
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}
