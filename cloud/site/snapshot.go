package site

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/shared/id"
)

const (
	snapshotVersion = 4

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

// siteSnapshot is a site's object: [3, site, seq, state].
type siteSnapshot struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Site    id.Site
	Seq     uint64
	State   siteState
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
