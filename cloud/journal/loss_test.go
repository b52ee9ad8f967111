package journal_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// A log's leader stops while others publish (I2): what was acked is there, in
// each publisher's order, and only what was published again is there twice.
func TestALeaderThatStopsLosesNothing(t *testing.T) {
	t.Parallel()
	nodes := journaltest.StartNodes(t)
	logs, _ := started(t, nodes, 0)
	acked := map[string]bool{}

	leader := leaderOf(t, nodes, 0)
	var stopping sync.WaitGroup
	for i := range nodes.Servers {
		if i == leader {
			continue
		}
		w := publishThrough(t, fmt.Sprintf("w%d", i), logs[i], func(n int) {
			if n == 100 && i == (leader+1)%3 {
				stopping.Go(func() { nodes.Stop(leader) }) // while the next is under way
			}
		})
		maps.Copy(acked, w)
	}
	stopping.Wait()
	checkAcked(t, logs[(leader+1)%3], acked)
}

// With two of three gone nothing is acked, to a gate or to the owner, and
// nothing that was is lost (I2).
func TestAMinorityAcksNothing(t *testing.T) {
	waitsForElections(t)
	nodes := journaltest.StartNodes(t)
	logs, token := started(t, nodes, 0)
	leader := leaderOf(t, nodes, 0)
	acked := publishThrough(t, "w0", logs[leader], func(int) {})
	short, err := journal.OpenLog(t.Context(), nodes.Servers[leader], 0, journal.LogConfig{
		AckTimeout: 500 * time.Millisecond, MaxBytes: nodes.Servers[leader].LogBytes(journal.MaxShards),
	}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := untilStored(t, short, "before the minority"); err != nil {
		t.Fatal(err)
	}
	var stopped sync.WaitGroup
	for i := range nodes.Servers {
		if i != leader {
			stopped.Go(func() { nodes.Stop(i) })
		}
	}
	stopped.Wait()
	for range 5 {
		if _, err := short.Publish(t.Context(), []journal.Record{journaltest.GatewayRecord("unknown")}); !errors.Is(err, journal.ErrAmbiguous) {
			t.Fatalf("one of three answers a publish: %v", err)
		}
		if _, err := short.PublishFenced(t.Context(), token, []journal.Record{tick()}); !errors.Is(err, journal.ErrAmbiguous) {
			t.Fatalf("one of three answers the owner: %v", err)
		}
	}
	nodes.StartAll()
	l := open3(t, nodes.Servers[leader], 0).Log
	for _, body := range []string{"before the minority", "after the minority"} {
		acked[body] = true
	}
	if _, err := untilStored(t, l, "after the minority"); err != nil {
		t.Fatal(err)
	}
	checkAcked(t, l, acked)
}

var long = flag.Bool("long", false, "also run what waits for elections, and more rounds of races")

// waitsForElections skips a test of half a minute, unless -long is set.
func waitsForElections(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("run with -long: make stress-journal")
	}
	t.Parallel()
}

func leaderOf(t *testing.T, nodes *journaltest.Nodes, shard int) int {
	t.Helper()
	name := raw(t, nodes.Servers[0], shard).CachedInfo().Cluster.Leader
	i := slices.IndexFunc(nodes.Configs, func(c journal.ServerConfig) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("the leader is %q", name)
	}
	return i
}

// publishThrough publishes 300 messages one after the other, each until it is
// acked, as a flusher does, and returns them.
func publishThrough(t *testing.T, name string, l journaltest.Journal, before func(n int)) map[string]bool {
	t.Helper()
	acked := map[string]bool{}
	var longest time.Duration
	retried := 0
	for n := range 300 {
		before(n)
		body := fmt.Sprintf("%s.%03d", name, n)
		start := time.Now()
		again, err := untilStored(t, l, body)
		if err != nil {
			t.Fatal(err)
		}
		retried += again
		longest = max(longest, time.Since(start))
		acked[body] = true
	}
	t.Logf("%s: acks paused for at most %v, %d publishes were repeated", name, longest.Round(time.Millisecond), retried)
	return acked
}

// untilStored publishes a record until that is acked.
func untilStored(t *testing.T, l journaltest.Journal, body string) (again int, err error) {
	for {
		_, err = l.Publish(t.Context(), []journal.Record{journaltest.GatewayRecord(body)})
		if err == nil || t.Context().Err() != nil || errors.Is(err, journal.ErrClosed) {
			return again, err
		}
		again++
		time.Sleep(10 * time.Millisecond)
	}
}

func checkAcked(t *testing.T, l journaltest.Journal, acked map[string]bool) {
	t.Helper()
	held, last := map[string]int{}, map[string]string{}
	for _, m := range readFrom(t, l, 1) {
		r := m.Records[0]
		if r.Kind != journal.KindFrame {
			continue
		}
		body := string(r.Body)
		held[body]++
		if of := body[:2]; held[body] == 1 && of[0] == 'w' {
			if body < last[of] {
				t.Errorf("%s stands behind %s", body, last[of])
			}
			last[of] = body
		}
	}
	twice := 0
	for body := range acked {
		if held[body] == 0 {
			t.Errorf("%s was acked and is gone", body)
		}
		twice += held[body] - 1
	}
	t.Logf("%d acked, %d of them stored again", len(acked), twice)
}
