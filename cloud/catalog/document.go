package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	documentVersion = 1
	clusterKey      = "cluster"
	sitePrefix      = "site."
	// maxID bounds a cluster's id and a zone's label in bytes: DNS labels, as
	// names are, because the id stands in certificates.
	maxID = id.MaxName
)

// Cluster is the document of the cluster as a whole.
type Cluster struct {
	ID          string    // stands in every certificate: spiffe://<id>/...
	Incarnation uint64    // raised by a restore; every fence compares it first
	Created     time.Time // UTC, to the second
	Shards      int       // fixed when the cluster is created
}

// Assignment is the document of a site: where its state lives.
type Assignment struct {
	Site     id.Site
	Shard    int
	Zone     string // home zone
	Revision uint64 // of the document
	// Moving is the move under way, nil for none; Shard is the former until it
	// has ended.
	Moving *Moving
	// Past are the shards that the site has left, each once, in the order in which
	// it left them last: what gates still append there is forwarded along.
	Past []int
}

// Moving is a site's way to another shard (../site/DESIGN.md, Moving a site).
type Moving struct {
	To int
	// Out is the message of the former shard's log with which the site left it,
	// and Digest the SHA-256 of its state there; Out is 0 until that is durable.
	Out    uint64
	Digest [sha256.Size]byte
}

type clusterDocument struct {
	Version     int       `json:"version"`
	ID          string    `json:"id"`
	Incarnation uint64    `json:"incarnation"`
	Created     time.Time `json:"created"`
	Shards      int       `json:"shards"`
}

type siteDocument struct {
	Version int    `json:"version"`
	Shard   int    `json:"shard"`
	Zone    string `json:"zone"`
	// Of a site that moves or has moved. A program that does not know them leaves
	// the document alone, and what its gates append is forwarded.
	To    *int           `json:"to,omitempty"`
	Ready *readyDocument `json:"ready,omitempty"`
	Past  []int          `json:"past,omitempty"`
}

type readyDocument struct {
	At     uint64 `json:"at"`
	Digest []byte `json:"digest"`
}

func (c Cluster) check() error {
	if c.ID == "" || len(c.ID) > maxID {
		return fmt.Errorf("cluster id %q: want 1 to %d characters", c.ID, maxID)
	}
	if c.Incarnation == 0 {
		return errors.New("incarnation 0: they start at 1")
	}
	return checkShards(c.Shards)
}

func checkShards(n int) error {
	if n < 1 || n > journal.MaxShards {
		return fmt.Errorf("%d shards, want 1 to %d", n, journal.MaxShards)
	}
	return nil
}

func encodeCluster(c Cluster) []byte {
	return encode(clusterDocument{documentVersion, c.ID, c.Incarnation, c.Created.UTC().Truncate(time.Second), c.Shards})
}

func parseCluster(b []byte) (Cluster, error) {
	var d clusterDocument
	if err := decode(b, &d, &d.Version); err != nil {
		return Cluster{}, err
	}
	c := Cluster{d.ID, d.Incarnation, d.Created, d.Shards}
	return c, c.check()
}

func encodeSite(a Assignment) []byte {
	d := siteDocument{Version: documentVersion, Shard: a.Shard, Zone: a.Zone, Past: a.Past}
	if m := a.Moving; m != nil {
		d.To = &m.To
		if m.Out != 0 {
			d.Ready = &readyDocument{m.Out, m.Digest[:]}
		}
	}
	return encode(d)
}

func parseSite(e journal.Entry, shards int) (Assignment, error) {
	site, err := id.ParseSite(strings.TrimPrefix(e.Key, sitePrefix))
	if err != nil {
		return Assignment{}, err
	}
	var d siteDocument
	if err := decode(e.Value, &d, &d.Version); err != nil {
		return Assignment{}, err
	}
	if d.Shard < 0 || d.Shard >= shards {
		return Assignment{}, fmt.Errorf("shard %d, want 0 to %d", d.Shard, shards-1)
	}
	if d.Zone == "" || len(d.Zone) > maxID {
		return Assignment{}, fmt.Errorf("zone %q: want 1 to %d characters", d.Zone, maxID)
	}
	a := Assignment{Site: site, Shard: d.Shard, Zone: d.Zone, Revision: e.Revision, Past: d.Past}
	if a.Moving, err = d.moving(shards); err != nil {
		return Assignment{}, err
	}
	if len(d.Past) > MaxPast {
		return Assignment{}, fmt.Errorf("past: %d shards, at most %d", len(d.Past), MaxPast)
	}
	for _, p := range d.Past {
		if p < 0 || p >= shards {
			return Assignment{}, fmt.Errorf("past: shard %d, want 0 to %d", p, shards-1)
		}
	}
	return a, nil
}

func (d *siteDocument) moving(shards int) (*Moving, error) {
	if d.To == nil {
		if d.Ready != nil {
			return nil, errors.New("ready without to")
		}
		return nil, nil
	}
	if *d.To < 0 || *d.To >= shards || *d.To == d.Shard {
		return nil, fmt.Errorf("to: shard %d, want 0 to %d and not %d", *d.To, shards-1, d.Shard)
	}
	m := &Moving{To: *d.To}
	if d.Ready == nil {
		return m, nil
	}
	if m.Out = d.Ready.At; m.Out == 0 || copy(m.Digest[:], d.Ready.Digest) != len(m.Digest) || len(d.Ready.Digest) != len(m.Digest) {
		return nil, errors.New("ready: want a message from 1 and a SHA-256")
	}
	return m, nil
}

func encode(d any) []byte {
	b, err := json.Marshal(d)
	if err != nil {
		panic("BUG: catalog: " + err.Error()) // only strings, integers and a time
	}
	return b
}

// decode demands one JSON object of known keys and this version.
func decode(b []byte, into any, version *int) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("byte %d: something follows the end", dec.InputOffset())
	}
	if *version != documentVersion {
		return fmt.Errorf("version %d, this program reads %d: a newer one wrote it", *version, documentVersion)
	}
	return nil
}
