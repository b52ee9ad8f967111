package catalog

import (
	"bytes"
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
	return encode(siteDocument{documentVersion, a.Shard, a.Zone})
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
	return Assignment{site, d.Shard, d.Zone, e.Revision}, nil
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
