package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
)

// Status is a gateway as GET /status shows it. The counts are of readings, begin
// with what an earlier process left, and only grow: sampled >= committed >=
// acked.
type Status struct {
	Gateway   string `json:"gateway"`
	Connected bool   `json:"connected"`
	Cloud     string `json:"cloud"` // the gate that it is connected to
	Mode      string `json:"mode"`
	Devices   int    `json:"devices"`
	Sampled   uint64 `json:"sampled"`
	// Committed were fsynced here or acked (I1); some of them may be dropped since.
	Committed uint64         `json:"committed"`
	Acked     uint64         `json:"acked"`
	Dropped   uint64         `json:"dropped"`
	Recovered uint64         `json:"recovered"` // those of sampled and committed that an earlier process left
	Buffer    BufferStatus   `json:"buffer"`
	DrainETA  *int64         `json:"drain_eta_ms"`           // nil: not known, or never
	DrainRate float64        `json:"drain_bytes_per_second"` // of the backlog; 0 without one
	Starved   bool           `json:"starved"`                // the cloud takes less than is sampled
	SentBytes uint64         `json:"sent_bytes"`             // of messages on the lanes
	Commands  CommandsStatus `json:"commands"`
}

// BufferStatus is what waits for the cloud.
type BufferStatus struct {
	Frames    uint64 `json:"frames"`
	Readings  uint64 `json:"readings"`
	Bytes     int64  `json:"bytes"` // in memory and in the store
	OldestAge int64  `json:"oldest_age_ms"`
	DiskBytes int64  `json:"disk_bytes"`
	Pressure  string `json:"pressure"` // none, low, high or highest: rows are thinned
}

// CommandsStatus is what became of commands.
type CommandsStatus struct {
	Executed  uint64 `json:"executed"` // those that ended
	Unsettled int    `json:"unsettled"`
}

func (a *agent) status() Status {
	b, u, c := a.buf.Stats(), a.uplink.Stats(), a.commands.Stats()
	s := Status{
		Gateway: a.cfg.Gateway.String(), Connected: u.Gate != "", Cloud: u.Gate, Mode: a.cfg.Buffer.Mode.String(),
		Devices: int(a.running.Load()), Sampled: b.Sampled + b.Recovered, Committed: b.Safe, Acked: b.Acked, Recovered: b.Recovered,
		Buffer: BufferStatus{
			Frames: b.Frames, Readings: b.Readings, Bytes: b.MemoryBytes + b.StoredBytes,
			OldestAge: b.OldestAge.Milliseconds(), DiskBytes: b.DiskBytes, Pressure: b.Pressure.String(),
		},
		DrainRate: u.Drain, Starved: u.Starved, SentBytes: u.Sent, Commands: CommandsStatus{Executed: c.Executed, Unsettled: c.Unsettled},
	}
	for _, d := range b.Dropped {
		s.Dropped += d.Readings
	}
	if eta, ok := drainETA(&b, &u); ok {
		ms := eta.Milliseconds()
		s.DrainETA = &ms
	}
	return s
}

func (a *agent) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.status()) // the client has gone
}

const (
	// fresh is how old frames may be that are only on their way.
	fresh = time.Second
	// maxETA is when nobody waits for the end any more.
	maxETA = 30 * 24 * time.Hour
)

// drainETA is when the buffer will be empty, if the cloud takes its backlog as
// fast as in the last seconds; ok is false if that is not known, or never.
func drainETA(b *buffer.Stats, u *uplink.Stats) (eta time.Duration, ok bool) {
	switch {
	case u.Gate == "":
		return 0, false
	case b.Frames == 0 || b.OldestAge < fresh:
		return 0, true
	case u.Drain <= 0:
		return 0, false
	}
	seconds := float64(b.MemoryBytes+b.StoredBytes) / u.Drain
	if seconds > maxETA.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// FetchStatus asks the gateway that serves HTTP at an address, HOST:PORT.
func FetchStatus(ctx context.Context, addr string) (Status, error) {
	var s Status
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/status", nil)
	if err != nil {
		return s, fmt.Errorf("status: want HOST:PORT: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("status: %w (is the gateway running, and is %s its http address?)", err, addr)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("status: %s answers %s; is it a gateway's http address?", addr, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("status: %s: %w", addr, err)
	}
	return s, nil
}
