package site

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// movedVersion is that of the object of a site that has moved, here or away.
	// Those that never have are written as snapshotVersion, which programs from
	// before read.
	movedVersion = 5
	// maxOrigins bounds the shards that a site remembers with its history.
	maxOrigins = 16
)

// movedSnapshot is [5, site, seq, state / null, now, since, origins, gone / null]:
// the object of a site that has come from another shard or has gone to one, and,
// with now, what one shard hands to the other.
type movedSnapshot struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Site    id.Site
	Seq     uint64
	State   *siteState // null of one that has gone
	Now     int64      // the shard's time where it left, in what is handed over
	Since   uint64     // the revision that it came here with, 0 if it never came
	Origins []origin
	Gone    *gone
}

// origin is a time of a site in another shard: its rows are in that shard's
// history, up to a message.
type origin struct {
	_     struct{} `cbor:",toarray"`
	Shard int
	To    uint64
}

// gone is what is left of a site in a shard that it has left.
type gone struct {
	_        struct{} `cbor:",toarray"`
	To       int      // the shard that it went to
	At       uint64   // the message with which it left
	Digest   [sha256.Size]byte
	Revision uint64 // of the document that said so
}

// departed is a site that has left. Its snapshot's object holds gone.
type departed struct {
	gone
	object manifestEntry
	dirty  bool
	state  []byte // to be handed over; nil once that is done
}

// movedObject is the name of what a shard hands to another, in that one's bucket.
// It does not end in a number, which is what snapshots are swept by.
func movedObject(site id.Site, from int, at uint64) string {
	return fmt.Sprintf("%s%s.%d.%d.state", movedPrefix, site, from, at)
}

const movedPrefix = "moved."

// encode writes the site's snapshot at message seq.
func (c codec) encode(s *site, seq uint64) ([]byte, error) {
	if s.since != 0 {
		return c.encodeMoved(&movedSnapshot{Site: s.id, Seq: seq, State: s.snapshot(), Since: s.since, Origins: s.origins})
	}
	b, err := c.enc.Marshal(siteSnapshot{Version: snapshotVersion, Site: s.id, Seq: seq, State: *s.snapshot()})
	if err != nil {
		return nil, fmt.Errorf("site %s: snapshot: %w", s.id, err)
	}
	return b, nil
}

// encodeLeaving writes what a site takes with it to another shard: its state, and
// the shard that it leaves with message seq among its origins.
func (c codec) encodeLeaving(s *site, shard int, seq uint64, now int64) ([]byte, error) {
	origins := append(slices.Clone(s.origins), origin{Shard: shard, To: seq})
	origins = origins[max(0, len(origins)-maxOrigins):]
	return c.encodeMoved(&movedSnapshot{Site: s.id, Seq: seq, State: s.snapshot(), Now: now, Origins: origins})
}

func (c codec) encodeMoved(m *movedSnapshot) ([]byte, error) {
	m.Version = movedVersion
	b, err := c.enc.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("site %s: snapshot: %w", m.Site, err)
	}
	return b, nil
}

// open reads the object of a site, of either version.
func (c codec) open(e manifestEntry, data []byte) (*movedSnapshot, error) {
	if sha256.Sum256(data) != e.Digest {
		return nil, fmt.Errorf("object %s: digest differs from the manifest's", e.Object)
	}
	snap, err := c.parse(data)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w: %w", e.Object, errUnread, err)
	}
	if snap.Site != e.Site || snap.Seq != e.Seq {
		return nil, fmt.Errorf("object %s: is site %q at %d, the manifest says %q at %d", e.Object, snap.Site, snap.Seq, e.Site, e.Seq)
	}
	if (snap.State == nil) == (snap.Gone == nil) {
		return nil, fmt.Errorf("object %s: want either a state or where it went", e.Object)
	}
	if snap.State != nil {
		if err := snap.State.check(); err != nil {
			return nil, fmt.Errorf("object %s: %w", e.Object, err)
		}
	}
	return snap, nil
}

// parse tells the two versions apart by their first byte, the array's length.
func (c codec) parse(data []byte) (*movedSnapshot, error) {
	const arrayOf8 = 0x88
	if len(data) > 0 && data[0] == arrayOf8 {
		m := new(movedSnapshot)
		if err := c.dec.Unmarshal(data, m); err != nil {
			return nil, err
		}
		if m.Version != movedVersion {
			return nil, fmt.Errorf("version %d, this program reads %d", m.Version, movedVersion)
		}
		return m, nil
	}
	var s siteSnapshot
	if err := c.dec.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("version %d, this program reads %d", s.Version, snapshotVersion)
	}
	return &movedSnapshot{Site: s.Site, Seq: s.Seq, State: &s.State}, nil
}

// restore makes a site from its object.
func (c codec) restore(e manifestEntry, data []byte, system *actor.ActorSystem, marks *marks, work *scratch) (*site, error) {
	snap, err := c.open(e, data)
	if err != nil {
		return nil, err
	}
	return snap.make(e, system, marks, work)
}

var errGone = errors.New("the site has left the shard")

// make makes the site of an object.
func (m *movedSnapshot) make(e manifestEntry, system *actor.ActorSystem, marks *marks, work *scratch) (*site, error) {
	if m.State == nil {
		return nil, fmt.Errorf("object %s: %w", e.Object, errGone)
	}
	s, err := newSite(e.Site, system, marks, work)
	if err != nil {
		return nil, err
	}
	if err := s.fill(m.State); err != nil {
		return nil, errors.Join(fmt.Errorf("object %s: %w", e.Object, err), s.close())
	}
	s.cursor, s.object, s.since, s.origins = e.Seq, e, m.Since, m.Origins
	return s, nil
}
