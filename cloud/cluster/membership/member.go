package membership

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	documentVersion = 1
	// maxDocument bounds a member's document in bytes: ten times one that serves
	// every shard.
	maxDocument = 8 << 10
	// maxAddress bounds HOST:PORT: the longest name in the DNS, and a port.
	maxAddress = 255 + 1 + 5
	// maxWord bounds a zone, and the words in which a program names its version,
	// in bytes.
	maxWord = 255
)

// Member is a node of the cluster: what it says of itself, and below the line
// what this node thinks of it.
type Member struct {
	Name, Zone, Version string
	Core                bool   // it holds the cluster's store
	Gate, Peer          string // HOST:PORT for gateways, and for other nodes' HTTP
	Capacity            float64
	Load                placement.NodeLoad
	Draining            bool // it is about to stop, or somebody wants it empty
	StartedAt           time.Time
	Shards              []int     // that it serves
	Rates               []float64 // readings/s of Shards, in their order; none is 0
	Gateways            int       // that are connected to it
	Overload            []string  // why it holds back; a word each
	Moves               bool      // its program knows sites that move between shards

	Dead   bool      // it fell silent, or it left not long ago
	SeenAt time.Time // when it was last heard of; of this node itself, now
}

// Node is the member as placement sees it.
func (m Member) Node() placement.Node {
	n := placement.Node{Name: m.Name, Zone: m.Zone, Capacity: m.Capacity, Load: m.Load}
	switch {
	case m.Dead:
		n.State = placement.Dead
	case m.Draining:
		n.State = placement.Draining
	}
	return n
}

// document is a Member as others get it. Fields may be added: who does not know
// them passes over them, so that nodes of two versions see each other live.
type document struct {
	Version int    `json:"version"`
	Boot    uint64 `json:"boot"`              // names one life of the node, never 0
	Seq     uint64 `json:"seq"`               // of its beats in this life, from 1
	Leaving bool   `json:"leaving,omitempty"` // its last

	Name      string             `json:"name"`
	Zone      string             `json:"zone"`
	Program   string             `json:"program"` // its version
	Core      bool               `json:"core"`
	Gate      string             `json:"gate"`
	Peer      string             `json:"peer"`
	Capacity  float64            `json:"capacity"`
	Load      placement.NodeLoad `json:"load"`
	Draining  bool               `json:"draining"`
	StartedAt time.Time          `json:"started_at"`
	Shards    []int              `json:"shards"`
	Rates     []float64          `json:"rates,omitempty"`
	Gateways  int                `json:"gateways"`
	Overload  []string           `json:"overload,omitempty"`
	Moves     bool               `json:"moves,omitempty"`
}

func documentOf(m Member) document {
	return document{
		Version: documentVersion,
		Name:    m.Name, Zone: m.Zone, Program: m.Version, Core: m.Core, Gate: m.Gate, Peer: m.Peer,
		Capacity: m.Capacity, Load: m.Load, Draining: m.Draining, StartedAt: m.StartedAt,
		Shards: m.Shards, Rates: m.Rates, Gateways: m.Gateways, Overload: m.Overload, Moves: m.Moves,
	}
}

func (d document) member() Member {
	return Member{
		Name: d.Name, Zone: d.Zone, Version: d.Program, Core: d.Core, Gate: d.Gate, Peer: d.Peer,
		Capacity: d.Capacity, Load: d.Load, Draining: d.Draining, StartedAt: d.StartedAt,
		Shards: d.Shards, Rates: d.Rates, Gateways: d.Gateways, Overload: d.Overload, Moves: d.Moves,
	}
}

// steady is the document without what changes from beat to beat.
func (d document) steady() document {
	d.Seq, d.Load, d.Rates, d.Gateways = 0, placement.NodeLoad{}, nil, 0
	return d
}

// sameBut reports whether nothing but numbers that always change differs.
func (d document) sameBut(other document) bool {
	return reflect.DeepEqual(d.steady(), other.steady())
}

func (d document) encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(d)
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("document of %d bytes, want at most %d", len(b), maxDocument)
	}
	return b, err
}

// parseDocument reads what another node says of itself.
func parseDocument(b []byte) (document, error) {
	if len(b) > maxDocument {
		return document{}, fmt.Errorf("membership: document of %d bytes, want at most %d", len(b), maxDocument)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return document{}, fmt.Errorf("membership: document: %w", err)
	}
	if d.Version != documentVersion {
		return document{}, fmt.Errorf("membership: document: version %d, this program reads %d", d.Version, documentVersion)
	}
	if err := d.check(); err != nil {
		return document{}, fmt.Errorf("membership: document: %w", err)
	}
	return d, nil
}

// check says what is wrong first. A document that passes does not make a view
// of the cluster invalid for placement.
func (d document) check() error {
	if d.Boot == 0 || d.Seq == 0 {
		return fmt.Errorf("boot %d, seq %d: want both above 0", d.Boot, d.Seq)
	}
	if err := checkName(d.Name); err != nil {
		return err
	}
	if len(d.Zone) > maxWord || len(d.Program) > maxWord {
		return fmt.Errorf("zone and version of %d and %d bytes, want at most %d each", len(d.Zone), len(d.Program), maxWord)
	}
	for _, a := range []string{d.Gate, d.Peer} {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	if err := (placement.Node{Name: d.Name, Zone: d.Zone, Capacity: d.Capacity, Load: d.Load}).Check(); err != nil {
		return err
	}
	if err := checkOverload(d.Overload); err != nil {
		return err
	}
	return checkWork(d.Shards, d.Rates, d.Gateways)
}

// maxOverload bounds the reasons to hold back: more than any version knows.
const maxOverload = 16

func checkOverload(words []string) error {
	if len(words) > maxOverload {
		return fmt.Errorf("%d reasons for overload, want at most %d", len(words), maxOverload)
	}
	for _, w := range words {
		if len(w) > maxWord {
			return fmt.Errorf("a reason for overload of %d bytes, want at most %d", len(w), maxWord)
		}
	}
	return nil
}

func checkWork(shards []int, rates []float64, gateways int) error {
	if len(shards) > journal.MaxShards {
		return fmt.Errorf("%d shards, want at most %d", len(shards), journal.MaxShards)
	}
	for _, s := range shards {
		if s < 0 || s >= journal.MaxShards {
			return fmt.Errorf("shard %d, want 0 to %d", s, journal.MaxShards-1)
		}
	}
	if len(rates) != 0 && len(rates) != len(shards) {
		return fmt.Errorf("rates of %d shards, want one for each of %d", len(rates), len(shards))
	}
	for _, r := range rates {
		if !(r >= 0 && r <= placement.MaxRate) { // also false for NaN
			return fmt.Errorf("%v readings/s, want 0 to %v", r, placement.MaxRate)
		}
	}
	if gateways < 0 {
		return fmt.Errorf("%d gateways, want 0 or more", gateways)
	}
	return nil
}

// checkName takes what a node's certificate may say: nodes are named as sites
// are.
func checkName(name string) error {
	if _, err := id.ParseSite(name); err != nil {
		return fmt.Errorf("node %q: want 1 to %d of a-z, 0-9 and inner hyphens", name, id.MaxName)
	}
	return nil
}

// checkAddress takes none, too: a node that serves no gateways has no gate.
func checkAddress(a string) error {
	if a == "" {
		return nil
	}
	if len(a) > maxAddress {
		return fmt.Errorf("address of %d bytes, want at most %d", len(a), maxAddress)
	}
	host, port, err := net.SplitHostPort(a)
	if err == nil && (host == "" || port == "") {
		err = errors.New("both are required")
	}
	if err != nil {
		return fmt.Errorf("address %q: want HOST:PORT: %w", a, err)
	}
	return nil
}
