package journal_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// Three core nodes form a cluster over mutual TLS; what one publishes another
// reads. Here they are in one process: elsewhere each has its own copy of the
// CA's folder, and the same list of addresses.
func ExampleServer_Form() {
	ctx, quiet := context.Background(), slog.New(slog.DiscardHandler)
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ca, err := identity.OpenCA(filepath.Join(dir, "ca"))
	if err != nil {
		log.Fatal(err)
	}

	core := journaltest.FreeAddresses(3)
	nodes := make([]*journal.Server, len(core))
	for i, address := range core {
		name := fmt.Sprintf("n%d", i+1)
		tls, err := ca.RouteTLS(name)
		if err != nil {
			log.Fatal(err)
		}
		nodes[i], err = journal.StartServer(journal.ServerConfig{
			Dir: filepath.Join(dir, name), Name: name, MaxStore: 1 << 30,
			Cluster: &journal.ClusterConfig{
				ID: ca.Cluster(), Listen: address, Core: core, TLS: tls,
				Founder: i == 0, // exactly one, always the same
			},
		}, quiet)
		if err != nil {
			log.Fatal(err)
		}
	}
	defer func() { // at once: each hands its streams' leadership to another
		var stopped sync.WaitGroup
		for _, n := range nodes {
			stopped.Go(n.Close)
		}
		stopped.Wait()
	}()

	logs := make([]*journal.Log, len(nodes))
	for i, n := range nodes {
		if err := n.Form(ctx); err != nil { // when a majority runs
			log.Fatal(err)
		}
		if logs[i], err = journal.OpenLog(ctx, n, 0, journal.LogConfig{MaxBytes: n.LogBytes(16)}, quiet, nil); err != nil {
			log.Fatal(err)
		}
	}
	token, err := logs[0].PublishBarrier(ctx, 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"})
	if err != nil {
		log.Fatal(err)
	}
	b, seq, err := logs[2].LastBarrier(ctx)
	fmt.Println("n3 reads the barrier of", b.Owner, "at the same place:", seq == token, err)
	fmt.Println("replicas:", nodes[1].Replicas())
	// Output:
	// n3 reads the barrier of n1 at the same place: true <nil>
	// replicas: 3
}
