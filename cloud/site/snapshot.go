package site

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	snapshotVersion = 1

	// maxItems bounds arrays and maps in a snapshot that is read: above every
	// limit of limits.go, so that a damaged head takes no memory.
	maxItems = 1 << 17
)

// codec writes and reads snapshots. The bytes are deterministic (RFC 8949,
// 4.2.1): the same state gives the same bytes (I7).
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	enc := cbor.CoreDetEncOptions()
	enc.NilContainers = cbor.NilContainerAsEmpty
	e, err := enc.EncMode()
	if err != nil {
		return codec{}, fmt.Errorf("cbor: %w", err)
	}
	d, err := cbor.DecOptions{
		MaxArrayElements: maxItems, MaxMapPairs: maxItems, MaxNestedLevels: 12,
		IndefLength: cbor.IndefLengthForbidden, DupMapKey: cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	if err != nil {
		return codec{}, fmt.Errorf("cbor: %w", err)
	}
	return codec{e, d}, nil
}

// siteSnapshot is a site's object: [1, site, seq, state].
type siteSnapshot struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Site    id.Site
	Seq     uint64
	State   siteState
}

// siteState holds names and states in the order of the names.
type siteState struct {
	_        struct{} `cbor:",toarray"`
	Gateways []namedGateway
	Twins    []namedTwin
}

type namedGateway struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	State *gatewayState
}

type namedTwin struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	State *twin.State
}

// encode writes the site's snapshot at message seq.
func (c codec) encode(s *site, seq uint64) ([]byte, error) {
	snap := siteSnapshot{Version: snapshotVersion, Site: s.id, Seq: seq}
	for _, name := range slices.Sorted(maps.Keys(s.gateways)) {
		snap.State.Gateways = append(snap.State.Gateways, namedGateway{Name: name, State: s.gateways[name].gateway.state})
	}
	for _, name := range slices.Sorted(maps.Keys(s.twins)) {
		snap.State.Twins = append(snap.State.Twins, namedTwin{Name: name, State: s.twins[name].state})
	}
	b, err := c.enc.Marshal(snap)
	if err != nil {
		return nil, fmt.Errorf("site %s: snapshot: %w", s.id, err)
	}
	return b, nil
}

// restore makes a site from its object.
func (c codec) restore(e manifestEntry, data []byte, system *actor.ActorSystem) (*site, error) {
	if sha256.Sum256(data) != e.Digest {
		return nil, fmt.Errorf("object %s: digest differs from the manifest's", e.Object)
	}
	var snap siteSnapshot
	if err := c.dec.Unmarshal(data, &snap); err != nil {
		return nil, fmt.Errorf("object %s: %w: %w", e.Object, errUnread, err)
	}
	if snap.Version != snapshotVersion {
		return nil, fmt.Errorf("object %s: %w: version %d, this program reads %d", e.Object, errUnread, snap.Version, snapshotVersion)
	}
	if snap.Site != e.Site || snap.Seq != e.Seq {
		return nil, fmt.Errorf("object %s: is site %q at %d, the manifest says %q at %d", e.Object, snap.Site, snap.Seq, e.Site, e.Seq)
	}
	if err := snap.State.check(); err != nil {
		return nil, fmt.Errorf("object %s: %w", e.Object, err)
	}
	s, err := newSite(e.Site, system)
	if err != nil {
		return nil, err
	}
	for _, g := range snap.State.Gateways {
		g.State.fill()
		s.addGateway(g.Name, g.State)
	}
	for _, t := range snap.State.Twins {
		s.addTwin(t.Name, t.State)
	}
	s.cursor, s.object = e.Seq, e
	return s, nil
}

// check demands what the rest of the package relies on: names once each, in
// order, and a state for each.
func (s *siteState) check() error {
	for i, g := range s.Gateways {
		if g.State == nil || i > 0 && g.Name <= s.Gateways[i-1].Name {
			return fmt.Errorf("gateway %d, %q: want a state, and names in order", i, g.Name)
		}
		for run, r := range g.State.Runs {
			if r == nil {
				return fmt.Errorf("gateway %q: run %s has no state", g.Name, run)
			}
		}
	}
	for i, t := range s.Twins {
		if t.State == nil || i > 0 && t.Name <= s.Twins[i-1].Name {
			return fmt.Errorf("twin %d, %q: want a state, and names in order", i, t.Name)
		}
	}
	return nil
}

// fill makes the maps that an empty one in the snapshot left nil.
func (s *gatewayState) fill() {
	empty := newGatewayState()
	if s.Runs == nil {
		s.Runs = empty.Runs
	}
	if s.Schemas == nil {
		s.Schemas = empty.Schemas
	}
	if s.Binds == nil {
		s.Binds = empty.Binds
	}
	for _, r := range s.Runs {
		if r.SIDs == nil {
			r.SIDs = make(map[uint32]seriesState)
		}
		if r.Clks == nil {
			r.Clks = make(map[uint32]clockState)
		}
	}
}

// manifest names the objects that together are the shard's state at Seq, and
// holds what belongs to no site.
type manifest struct {
	_           struct{} `cbor:",toarray"`
	Version     int
	Shard       int
	Seq         uint64
	Now         int64  // the shard's time, Unix microseconds
	Incarnation uint64 // of the last barrier, with Epoch
	Epoch       uint64
	Sites       []manifestEntry // in the order of their names
}

type manifestEntry struct {
	_      struct{} `cbor:",toarray"`
	Site   id.Site
	Object string
	Seq    uint64
	Digest [32]byte // SHA-256 of the object
}

// entry returns what the manifest says of a site.
func (m *manifest) entry(site id.Site) (manifestEntry, bool) {
	i, ok := slices.BinarySearchFunc(m.Sites, site, func(e manifestEntry, want id.Site) int {
		return strings.Compare(string(e.Site), string(want))
	})
	if !ok {
		return manifestEntry{}, false
	}
	return m.Sites[i], true
}

// encodeManifest writes the manifest and its SHA-256.
func (c codec) encodeManifest(m *manifest) ([]byte, error) {
	b, err := c.enc.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("manifest %d: %w", m.Seq, err)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

var errManifestDigest = errors.New("digest differs: the manifest is damaged")

func (c codec) decodeManifest(data []byte) (*manifest, error) {
	at := len(data) - sha256.Size
	if at < 0 {
		return nil, errManifestDigest
	}
	if sum := sha256.Sum256(data[:at]); !bytes.Equal(sum[:], data[at:]) {
		return nil, errManifestDigest
	}
	var m manifest
	if err := c.dec.Unmarshal(data[:at], &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	if m.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads %d", errUnread, m.Version, snapshotVersion)
	}
	return &m, nil
}

const manifestPrefix = "manifest."

func manifestName(seq uint64) string { return manifestPrefix + strconv.FormatUint(seq, 10) }

func objectName(site id.Site, seq uint64) string {
	return "site." + string(site) + "." + strconv.FormatUint(seq, 10)
}

// manifestSeq returns the sequence of a manifest's name.
func manifestSeq(name string) (uint64, bool) {
	s, ok := strings.CutPrefix(name, manifestPrefix)
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(s, 10, 64)
	return seq, err == nil && manifestName(seq) == name
}
