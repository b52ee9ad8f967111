package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

// together starts three core nodes in this process, in folders of their own.
func together(t *testing.T) (nodes []*life) {
	t.Helper()
	dir := t.TempDir()
	addresses := journaltest.FreeAddresses(6)
	opened := make(chan error, 3)
	for i := range 3 {
		name := fmt.Sprintf("n%d", i+1)
		data := filepath.Join(dir, name)
		if i > 0 {
			copyAuthority(t, filepath.Join(dir, "n1"), data)
		} else if _, err := identity.OpenCA(filepath.Join(data, CAFolder)); err != nil {
			t.Fatal(err)
		}
		n := &node{
			cfg: Config{
				Data: data, Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Name: name, Zone: "here", Shards: 3,
				Cluster: &ClusterConfig{Core: addresses[:3], Route: addresses[i], Peer: addresses[3+i]},
			},
			log: slog.New(slog.DiscardHandler), reg: ops.NewRegistry(), start: time.Now(),
		}
		nodes = append(nodes, &life{t: t, node: n, served: make(chan error, 1)})
		go func() { opened <- n.open(t.Context()) }()
	}
	for range nodes {
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range nodes {
		l.url = "http://" + l.node.http.Addr().String()
		var err error
		if l.api, err = client.New(l.url); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		l.cancel = cancel
		go func() { l.served <- l.node.serve(ctx) }()
	}
	for _, l := range nodes {
		until(t, l.node.cfg.Name+" is ready", func() bool { status, _ := l.get("/readyz"); return status == http.StatusOK })
	}
	return nodes
}

func copyAuthority(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, CAFolder, identity.StoreFile))
	if err == nil {
		err = os.MkdirAll(filepath.Join(to, CAFolder), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(to, CAFolder, identity.StoreFile), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// I1, I3: any node takes a gateway's frames and answers for any site; when the
// site's owner leaves, the next one has its twin and its history, once each.
func TestAnyNodeServesEverySiteAndAShardKeepsItsHistoryWhenItMoves(t *testing.T) {
	nodes := together(t)
	nodes[0].journal(append(opening(), frame(1), frame(2))...)
	for _, l := range nodes {
		l.reports(2)
	}
	shard, known := nodes[1].node.catalog.Known(gateway.Site)
	if !known {
		t.Fatal("the site is not known on every node")
	}
	owner, others := 0, []*life(nil)
	for i, l := range nodes {
		if _, held := l.node.seats.Of(shard); held {
			owner = i
		} else {
			others = append(others, l)
		}
	}
	if len(others) != 2 {
		t.Fatalf("%d nodes do not have shard %d, want 2", len(others), shard)
	}
	begin := time.Now()
	nodes[owner].stop() // it gives its shards away first
	t.Logf("%s left in %v", nodes[owner].node.cfg.Name, time.Since(begin).Round(time.Millisecond))
	others[0].journal(frame(2), frame(3)) // the gateway did not see the ack of 2
	for _, l := range others {
		l.reports(3)
		until(t, "history is whole", func() bool { got := l.numbers(); return len(got) == 3 && got[0] == 1 && got[2] == 3 })
		if _, err := l.api.Device(t.Context(), id.Device{Site: "hq", Name: "none"}); !client.NotFound(err) {
			t.Errorf("an unknown device: %v", err)
		}
		if _, err := l.api.Devices(t.Context(), "nowhere"); !client.NotFound(err) {
			t.Errorf("an unknown site: %v", err)
		}
	}
	all, err := others[0].api.Nodes(t.Context())
	if err != nil || len(all) != 3 || all[owner].State != "dead" {
		t.Errorf("nodes %+v, %v", all, err)
	}
	for _, l := range others {
		l.stop()
	}
}
