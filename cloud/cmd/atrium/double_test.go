package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// building answers as a node with one site, hq, that has one of everything. Its
// relay obeys, its dimmer refuses, and its fan never answers in time.
func building() http.Handler {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	warm, on := 21.5, 1.0
	mux := http.NewServeMux()
	answer(mux, "/v1/documents", page(client.Document{Kind: "room", Name: "hq/kitchen", Revision: 7, AppliedAt: noon, Text: "kind: room\nname: hq/kitchen\ntitle: Kitchen\ndevices: [air]\n"}))
	answer(mux, "/v1/sites", page(client.Site{
		Site: "hq", Shard: 3, Revision: 1,
		Summary: &client.SiteSummary{Gateways: 1, Devices: 1234, Live: 1200, Silent: 34, Alarms: 2, Owner: "n1"},
	}, client.Site{Site: "lab", Shard: 1, SummaryError: "node n2 does not answer"}))
	answer(mux, "/v1/nodes", page(client.Node{Node: "n1", State: "live", Core: true, Capacity: 4, CPU: 0.25, Zone: "cellar", Version: "test", StartedAt: noon, Shards: []int{0, 1}, Gateways: 2}))
	const hq = "/v1/sites/hq"
	answer(mux, hq+"/gateways", page(client.Gateway{
		Gateway: "hq/gw-1", Agent: "atrium-edge test", Board: "b1", IntervalMS: 1000, SeenAt: noon,
		Runs:  []client.Run{{Run: "0102030405060708", Class: "telemetry", State: "open", Next: 12, Last: 15}},
		Count: client.Count{Readings: 12345, Gaps: 2},
	}))
	answer(mux, hq+"/ledger", page(
		client.LedgerEntry{Gateway: "hq/gw-1", Run: "0102030405060708", Class: "telemetry", A: 5, B: 6, Reason: "quota", Readings: 40, FoundAt: noon},
		client.LedgerEntry{Gateway: "hq/gw-2", Run: "0a", A: 1, B: 9, Reason: "corrupt", Readings: 7, FoundAt: noon},
		client.LedgerEntry{Gateway: "hq/gw-1", Run: "0b", Class: "events", A: 3, Reason: "crash", IntervalMS: 1000, FoundAt: noon},
		client.LedgerEntry{Gateway: "hq/gw-1", Run: "0102030405060708", Class: "telemetry", A: 9, B: 9, Reason: "quota", Readings: 2, FoundAt: noon},
	))
	answer(mux, hq+"/shard", client.SiteShard{Site: "hq", Shard: 3, State: "settled", Revision: 9, Past: []int{0, 2}})
	air := client.Device{Device: "hq/air", Gateway: "hq/gw-1", Profile: "bosch.bme280", Liveness: "live", LastAt: noon, Points: []client.Point{
		{Point: "temperature", Value: &warm, Unit: "Cel", Kind: "number", Quality: "good", SampledAt: noon, Clock: "system", Run: "0102030405060708", Seq: 11},
	}}
	relay := client.Device{Device: "hq/relay", Gateway: "hq/gw-1", Liveness: "silent", Points: []client.Point{{Point: "on", Value: &on, Kind: "boolean", Quality: "bad", SampledAt: noon}}}
	answer(mux, hq+"/devices", page(air, relay))
	answer(mux, hq+"/devices/air", air)
	answer(mux, hq+"/devices/air/history", page(
		client.Reading{Time: noon, Value: &warm, Quality: "good", Clock: "system"},
		client.Reading{Time: noon.Add(time.Second), Quality: "bad", Clock: "system"},
	))
	answer(mux, "/v1/sites/moved/devices/air/history", client.Page[client.Reading]{Incomplete: true, Items: []client.Reading{{Time: noon, Value: &warm, Quality: "good", Clock: "system"}}})
	answer(mux, "/v1/sites/moved/ledger", client.Page[client.LedgerEntry]{Incomplete: true, Items: []client.LedgerEntry{}})
	answer(mux, hq+"/rooms", page(client.Room{Room: "hq/kitchen", Title: "Kitchen", Revision: 7, Devices: []string{"air"}, Live: 1, Aggregates: []client.Aggregate{
		{Point: "temperature", Unit: "Cel", Kind: "number", Count: 1, Mean: 21.5, Min: 21, Max: 22, Any: true, NewestAt: noon},
	}}))
	answer(mux, hq+"/pipelines", page(client.Pipeline{Pipeline: "hq/too-warm", Revision: 8, Stages: []string{"mean of 1m0s"}, Count: client.PipelineCount{Rows: 60, Windows: 1, Raised: 1}, Devices: []client.PipelineDevice{{Device: "hq/air", LastAt: noon, Value: &warm, Alarm: "active"}}}))
	answer(mux, hq+"/pipelines/too-warm/windows", page(client.Window{Device: "hq/air", Start: noon.Add(-time.Minute), End: noon, Count: 60, Mean: 21.5, Min: 21, Max: 22}))
	alarm := client.Alarm{Pipeline: "hq/too-warm", Device: "hq/air", State: "active", Severity: "warning", Text: "too warm", Value: 27, Threshold: 26, RaisedAt: noon, Raised: 1}
	answer(mux, hq+"/alarms", page(alarm))
	var streams atomic.Int32
	mux.HandleFunc("GET /v1/stream", func(w http.ResponseWriter, _ *http.Request) {
		if streams.Add(1)%2 == 0 { // who asks again is refused, so that a watch ends
			refuse(w, "no site hq any more")
			return
		}
		for _, e := range []client.Event{{Device: &air}, {Alarm: &alarm}, {Ready: &struct{}{}}} {
			text, _ := json.Marshal(e) // of our own types
			fmt.Fprintf(w, ": heartbeat\n\ndata: %s\n\n", text)
		}
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler) // the node is killed
	})
	obey(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, "nothing at "+r.URL.Path+": GET /v1/sites lists what there is")
	})
	return mux
}

func refuse(w http.ResponseWriter, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(client.Error{Status: http.StatusNotFound, Detail: detail})
}

// obey adds commands: one is sent when it is asked for and has ended when it is
// looked at.
func obey(mux *http.ServeMux) {
	var mu sync.Mutex
	known := make(map[string]client.Command)
	mux.HandleFunc("POST /v1/sites/hq/devices/{device}/commands", func(w http.ResponseWriter, r *http.Request) {
		var in client.CommandRequest
		_ = json.NewDecoder(r.Body).Decode(&in) // what is not right is empty
		mu.Lock()
		defer mu.Unlock()
		m := client.Command{ID: in.ID, Device: "hq/" + r.PathValue("device"), Command: in.Command, Args: in.Args, State: "sent"}
		known[m.ID] = m
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(m)
	})
	ended := func(m client.Command) client.Command {
		switch m.Device {
		case "hq/relay":
			m.State, m.ConfirmedBy = "done", "shadow (assumed)"
		case "hq/dimmer":
			m.State, m.Text = "refused", "level: want 0 to 100, got 400"
		default:
			m.State, m.Text = "unanswered", "the gateway was not reached"
		}
		return m
	}
	mux.HandleFunc("GET /v1/sites/hq/commands", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var all []client.Command
		for _, m := range known {
			all = append(all, ended(m))
		}
		_ = json.NewEncoder(w).Encode(page(all...))
	})
	mux.HandleFunc("GET /v1/sites/hq/commands/{id}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(ended(known[r.PathValue("id")]))
	})
}
