// Package client is the cloud's HTTP API as Go: its documents, which the
// server (cloud/api) writes and this package reads, and calls that return
// them. It decides nothing, keeps nothing and retries nothing; pages are
// followed to their end.
package client

import "time"

// Page is one page of a list. Next is empty on the last one; otherwise it is
// the `after` of the next.
type Page[T any] struct {
	Items      []T    `json:"items"`
	Next       string `json:"next,omitempty" doc:"Give it as 'after' to get the next page; absent on the last one."`
	Incomplete bool   `json:"incomplete,omitempty" doc:"Of history: the node took the site over and has not yet filled in all that others stored; some may be missing here."`
}

// Site is a site of the catalog.
type Site struct {
	Site     string `json:"site"`
	Shard    int    `json:"shard" doc:"The shard whose log holds the site."`
	Revision uint64 `json:"revision" doc:"The catalog's revision of that assignment."`
	// Of a list with summaries, one of the two.
	Summary      *SiteSummary `json:"summary,omitempty" doc:"With summary=true: the site in short."`
	SummaryError string       `json:"summary_error,omitempty" doc:"With summary=true: why there is none."`
}

// SiteSummary is a site in short, as the owner of its shard knows it.
type SiteSummary struct {
	Gateways int    `json:"gateways"`
	Devices  int    `json:"devices"`
	Live     int    `json:"live" doc:"Of the devices."`
	Silent   int    `json:"silent" doc:"Likewise."`
	Alarms   int    `json:"alarms" doc:"Active ones."`
	Owner    string `json:"owner" doc:"The node that says so."`
	Epoch    uint64 `json:"epoch" doc:"Of its claim."`
	Applied  uint64 `json:"applied" doc:"The last message of the shard's log that it has applied."`
}

// Gateway is an edge agent as its site knows it.
type Gateway struct {
	Gateway    string    `json:"gateway" example:"hq/gw-1"`
	Agent      string    `json:"agent" doc:"Program and version."`
	Board      string    `json:"board"`
	IntervalMS uint64    `json:"interval_ms" doc:"The commit interval: what a crash may leave uncommitted."`
	SeenAt     time.Time `json:"seen_at" doc:"When its latest record was journaled."`
	Runs       []Run     `json:"runs" doc:"Oldest first; those that were retired are not among them."`
	Count      Count     `json:"count"`
}

// Count are a gateway's totals since it was first seen.
type Count struct {
	Frames     uint64 `json:"frames" doc:"Applied."`
	Readings   uint64 `json:"readings" doc:"Applied."`
	Suppressed uint64 `json:"suppressed" doc:"Rows that the sampler withheld."`
	Duplicates uint64 `json:"duplicates" doc:"Frames that came again and were dropped."`
	Late       uint64 `json:"late"`
	Missing    uint64 `json:"missing" doc:"Sequences skipped without a reason."`
	Gaps       uint64 `json:"gaps" doc:"Sequences lost with a reason: see the ledger."`
	Dead       uint64 `json:"dead" doc:"Records that could not be applied."`
}

// Run is a run of a gateway.
type Run struct {
	Run   string `json:"run"`
	Class string `json:"class,omitempty" doc:"telemetry or events; absent of a run that was retired long ago"`
	Boot  string `json:"boot,omitempty"`
	State string `json:"state" doc:"open, closed, unclean or retired"`
	Next  uint64 `json:"next" doc:"The next sequence to be applied."`
	Last  uint64 `json:"last" doc:"The highest sequence that the gateway said to have committed."`
}

// RetiredRun is a run of which nothing is on its way any more.
type RetiredRun struct {
	Gateway string `json:"gateway" example:"hq/gw-1"`
	Run
}

// Device is a device's twin.
type Device struct {
	Device   string    `json:"device" example:"hq/t1"`
	Gateway  string    `json:"gateway,omitempty" doc:"That it hangs on; absent while unbound."`
	Profile  string    `json:"profile,omitempty" doc:"The firmware profile that its newest readings came by."`
	Liveness string    `json:"liveness" doc:"unknown, live or silent"`
	LastAt   time.Time `json:"last_at,omitzero" doc:"When its latest reading arrived."`
	Points   []Point   `json:"points"`
}

// Newest is when the newest of its values was sampled; zero without any.
func (d *Device) Newest() (at time.Time) {
	for i := range d.Points {
		if p := &d.Points[i]; p.SampledAt.After(at) {
			at = p.SampledAt
		}
	}
	return at
}

// Point is the reported value of one point of a twin.
type Point struct {
	Point         string    `json:"point"`
	Value         *float64  `json:"value" doc:"null until a value was reported, and of a text"`
	Text          *string   `json:"text,omitempty" doc:"The value of a text point."`
	Raw           int64     `json:"raw" doc:"The value in steps of its resolution; of a float the bits of its IEEE 754 form."`
	Unit          string    `json:"unit"`
	Kind          string    `json:"kind" doc:"number, boolean, counter, float or text"`
	Quality       string    `json:"quality" doc:"Of the newest reading; the value is the newest that was not bad."`
	SampledAt     time.Time `json:"sampled_at,omitzero"`
	ReceivedAt    time.Time `json:"received_at,omitzero"`
	Clock         string    `json:"clock" doc:"Where sampled_at comes from: estimated, system or welcome."`
	UncertaintyUS uint64    `json:"uncertainty_us" doc:"Of sampled_at, either way."`
	Suspect       bool      `json:"clock_suspect,omitempty" doc:"The clock was ahead of the arrival; sampled_at is the arrival."`
	Run           string    `json:"run,omitempty"`
	Seq           uint64    `json:"seq,omitempty"`
}

// Reading is a row of a point's history. The fields from Raw on are present
// when they are asked for with raw=true.
type Reading struct {
	Time    time.Time `json:"time" doc:"UTC of the sample."`
	Value   *float64  `json:"value" doc:"null if the read failed, and of a text"`
	Text    *string   `json:"text,omitempty" doc:"The value of a text point."`
	Quality string    `json:"quality"`
	Clock   string    `json:"clock"`

	Raw        int64     `json:"raw,omitempty"`
	Run        string    `json:"run,omitempty"`
	Seq        uint64    `json:"seq,omitempty"`
	SID        uint32    `json:"sid,omitempty" doc:"The series' number in its run."`
	Row        int       `json:"row,omitempty" doc:"(run, seq, sid, row) is the reading's identity."`
	TickNS     int64     `json:"tick_ns,omitempty" doc:"Sample time since the gateway's boot."`
	ReceivedAt time.Time `json:"received_at,omitzero"`
}

// LedgerEntry is a line of a site's gap ledger.
type LedgerEntry struct {
	Gateway    string    `json:"gateway"`
	Run        string    `json:"run"`
	Class      string    `json:"class"`
	Boot       string    `json:"boot"`
	A          uint64    `json:"a"`
	B          uint64    `json:"b" doc:"0: the end is open (crash)."`
	Reason     string    `json:"reason"`
	Readings   uint64    `json:"readings"`
	FirstMS    int64     `json:"first_ms" doc:"Since boot; of a crash, the last that was applied."`
	LastMS     int64     `json:"last_ms"`
	IntervalMS uint64    `json:"interval_ms,omitempty" doc:"Of a crash: what may be uncommitted."`
	FoundAt    time.Time `json:"found_at"`
}

// Status is the state of the node that answers.
type Status struct {
	Cluster   string    `json:"cluster"`
	Node      string    `json:"node"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Gateways  int       `json:"gateways" doc:"Connections to this node."`
	QueuedB   int64     `json:"queued_bytes" doc:"Accepted from gateways, not yet durable."`
	Shards    []Shard   `json:"shards" doc:"Those that this node owns."`
}

// Shard is the progress of a shard's owner.
type Shard struct {
	Shard       int    `json:"shard"`
	Incarnation uint64 `json:"incarnation"`
	Epoch       uint64 `json:"epoch"`
	First       uint64 `json:"first" doc:"The oldest message in the log."`
	Last        uint64 `json:"last" doc:"The newest."`
	Applied     uint64 `json:"applied"`
	Durable     uint64 `json:"durable" doc:"What history has fsynced."`
	Snapshot    uint64 `json:"snapshot" doc:"What the latest manifest holds."`
}
