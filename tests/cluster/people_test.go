package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/linear"
)

func TestTheNewestNumberIsReadFromTheEndOfABoardsBook(t *testing.T) {
	book := filepath.Join(t.TempDir(), "truth.jsonl")
	var text strings.Builder
	for n := range 200 {
		fmt.Fprintf(&text, "{\"device\":\"hq/c1\",\"n\":%d}\n{\"device\":\"hq/c2\",\"n\":%d}\n", n+1, 1000+n)
	}
	text.WriteString(`{"device":"hq/c1","n":20`) // it is being written
	if err := os.WriteFile(book, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]int64{"hq/c1": 200, "hq/c2": 1199} {
		if n, err := lastDelivered(book, device); n != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", device, n, err, want)
		}
	}
	if n, err := lastDelivered(book, "hq/c3"); err == nil {
		t.Errorf("%d of a device that is not there", n)
	}
}

// world is a node that knows one command, in a state, and a gateway whose
// devices did so many.
func world(t *testing.T, command id.Command, state string, did int) (api string, s *line.Site) {
	t.Helper()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, command.String()) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(client.Command{ID: command.String(), State: state}) //nolint:errcheck // the reader sees
	}))
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "atrium_device_commands_total{result=\"done\"} %d\n", did)
	}))
	t.Cleanup(node.Close)
	t.Cleanup(gateway.Close)
	return node.URL, &line.Site{Name: "hq", Gateway: process.New(process.Config{Name: "hq-gateway", HTTP: gateway.URL})}
}

func TestACommandMustBeToldDoneAndBeDoneOnce(t *testing.T) {
	lost, known := id.Command{1}, id.Command{2}
	for what, c := range map[string]struct {
		state string
		did   int
		fine  bool
	}{
		"once":               {"done", 1, true},
		"twice":              {"done", 2, false},
		"told and not done":  {"done", 0, false},
		"done, told expired": {"expired", 1, false},
	} {
		api, s := world(t, known, c.state, c.did)
		b := newBooks([]*line.Site{s})
		b.order(&order{id: lost, site: "hq"}) // no node took it
		b.order(&order{id: known, site: "hq"})
		counts, wrong, err := b.judge(t.Context(), []*line.Site{s}, api, 0)
		if err != nil || (len(wrong) == 0) != c.fine || counts[commands] != 1 {
			t.Errorf("%s: %v, %q, %v", what, counts, wrong, err)
		}
	}
}

func TestANodeMayNotKnowACommandForAWhileOnly(t *testing.T) {
	for _, c := range []struct {
		bound time.Duration
		wrong int
	}{{0, 1}, {3 * time.Second, 0}} {
		command := id.Command{2}
		api, s := world(t, command, "done", 1)
		b := newBooks([]*line.Site{s})
		o := &order{id: command, site: "hq"}
		b.order(o)
		b.told(o, client.Command{State: "sent"})
		b.missed(o, miss{"n2", o.since + 2*time.Second})
		if _, wrong, err := b.judge(t.Context(), []*line.Site{s}, api, c.bound); err != nil || len(wrong) != c.wrong {
			t.Errorf("within %v: %q, %v", c.bound, wrong, err)
		}
	}
}

func TestWhatPeopleSawWithoutAnOrderFailsAScenario(t *testing.T) {
	api, s := world(t, id.Command{2}, "done", 0)
	b := newBooks([]*line.Site{s})
	tw := b.anyTwin()
	for i, n := range []int64{7, 6} {
		tw.Delivered = append(tw.Delivered, linear.Delivery{At: time.Duration(i), Value: int64(9 * i)})
		b.answer(tw, linear.Answer{By: "n1", Call: time.Duration(10 + 10*i), Return: time.Duration(11 + 10*i), Value: n})
	}
	b.change(papers[0], linear.Change{By: "n1", Expect: 4, Text: "a", Outcome: linear.Done, Revision: 5})
	b.fault("n2 refused")
	counts, wrong, err := b.judge(t.Context(), []*line.Site{s}, api, 0)
	if err != nil || len(wrong) != 3 || counts[answers] != 2 || counts[changes] != 1 {
		t.Errorf("%v, %q, %v", counts, wrong, err)
	}
}
