package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// RecordKind says what a record's body is. Numbers are never reused.
type RecordKind uint8

// Kinds below 32 come from gateways, with the exact wire message as the body, or
// in a gateway's name from its gate: a mark. The others come from the shard's
// owner.
const (
	KindHello    RecordKind = 1
	KindBind     RecordKind = 2
	KindSchema   RecordKind = 3
	KindClock    RecordKind = 4
	KindFrame    RecordKind = 5
	KindGap      RecordKind = 6
	KindResult   RecordKind = 7
	KindMark     RecordKind = 8
	KindBarrier  RecordKind = 32
	KindSnapshot RecordKind = 33
	KindTick     RecordKind = 34
	KindSkip     RecordKind = 35
	KindDocument RecordKind = 36
	KindIntent   RecordKind = 37
	KindOutbox   RecordKind = 38

	KindDeparture RecordKind = 39
	KindArrival   RecordKind = 40
)

// firstOwnerKind parts the gateways' kinds from the owner's.
const firstOwnerKind = KindBarrier

const (
	envelopeVersion = 1

	// MaxMessage bounds one message of the log in bytes: twice what a flusher
	// aims at, an eighth of the server's MaxPayload.
	MaxMessage = 1 << 20
	// MaxBody bounds a record's body in bytes: twice the largest wire message,
	// so that any that the gate accepted fits.
	MaxBody = 512 << 10
	// MaxRecords bounds the records of one message, so that what a hostile
	// count makes a reader allocate is known.
	MaxRecords = 8192
	// MaxOrigin bounds an origin in bytes: two names and a slash.
	MaxOrigin = 2*id.MaxName + 1

	// minRecord is the size of the smallest record: five heads and an origin
	// of one byte.
	minRecord = 6
)

// String returns the kind's name.
func (k RecordKind) String() string {
	switch k {
	case KindHello:
		return "hello"
	case KindBind:
		return "bind"
	case KindSchema:
		return "schema"
	case KindClock:
		return "clock"
	case KindFrame:
		return "frame"
	case KindGap:
		return "gap"
	case KindResult:
		return "result"
	case KindMark:
		return "mark"
	case KindBarrier:
		return "barrier"
	case KindSnapshot:
		return "snapshot"
	case KindTick:
		return "tick"
	case KindSkip:
		return "skip"
	case KindDocument:
		return "document"
	case KindIntent:
		return "intent"
	case KindOutbox:
		return "outbox"
	case KindDeparture:
		return "departure"
	case KindArrival:
		return "arrival"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// FromGateway reports whether records of this kind come from gateways.
func (k RecordKind) FromGateway() bool { return k < firstOwnerKind }

// ofSite reports whether an owner's record of this kind always names a site.
func (k RecordKind) ofSite() bool {
	return k == KindDocument || k == KindIntent || k == KindOutbox || k == KindDeparture || k == KindArrival
}

// Record is one entry of a shard's log. Origin is "site/gateway" of a
// gateway's record and the node's name of an owner's; Site is empty for a
// barrier and a snapshot.
type Record struct {
	Kind   RecordKind
	Origin string
	Site   id.Site
	Body   []byte
}

// Position names a record: the sequence of its message in the stream and its
// index within the message, from 0.
type Position struct {
	Seq   uint64
	Index int
}

// Compare orders positions as the log does: -1, 0 or 1.
func (p Position) Compare(q Position) int {
	switch {
	case p.Seq < q.Seq || p.Seq == q.Seq && p.Index < q.Index:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// Message is what the log stores at one sequence: a batch of records and the
// server's time of arrival. The records' bodies share one array that nobody
// writes to again.
type Message struct {
	Seq     uint64
	Time    time.Time
	Records []Record
}

// Check reports why r may not enter a log; a record that is refused here is
// the caller's mistake and would be refused by every reader.
func (r Record) Check() error {
	if r.Kind == 0 {
		return errors.New("record without a kind")
	}
	if len(r.Body) > MaxBody {
		return fmt.Errorf("%s record: body of %d bytes, at most %d are allowed", r.Kind, len(r.Body), MaxBody)
	}
	if r.Kind.FromGateway() {
		gw, err := id.ParseGateway(r.Origin)
		if err != nil {
			return fmt.Errorf("%s record: origin: %w", r.Kind, err)
		}
		if gw.Site != r.Site {
			return fmt.Errorf("%s record of site %q: origin %q is of another", r.Kind, r.Site, r.Origin)
		}
		return nil
	}
	if len(r.Origin) == 0 || len(r.Origin) > MaxOrigin {
		return fmt.Errorf("%s record: origin of %d bytes, want 1 to %d", r.Kind, len(r.Origin), MaxOrigin)
	}
	if r.Site == "" {
		if r.Kind.ofSite() {
			return fmt.Errorf("%s record without a site", r.Kind)
		}
		return nil
	}
	if _, err := id.ParseSite(string(r.Site)); err != nil {
		return fmt.Errorf("%s record: %w", r.Kind, err)
	}
	return nil
}

// appendRecord writes [1, kind, origin, site, body].
func appendRecord(dst []byte, r Record) []byte {
	dst = append(dst, majorArray<<5|5, envelopeVersion)
	dst = appendUint(dst, uint64(r.Kind))
	dst = appendText(dst, r.Origin)
	dst = appendText(dst, string(r.Site))
	dst = appendHead(dst, majorBytes, uint64(len(r.Body)))
	return append(dst, r.Body...)
}

// recordSize is the number of bytes that appendRecord writes.
func recordSize(r Record) int {
	return 2 + headSize(uint64(r.Kind)) +
		headSize(uint64(len(r.Origin))) + len(r.Origin) +
		headSize(uint64(len(r.Site))) + len(r.Site) +
		headSize(uint64(len(r.Body))) + len(r.Body)
}

// maxMessageHead is the most that precedes the records of a message.
const maxMessageHead = 2 + 3 // array of 2, version, array of at most MaxRecords

func appendMessageHead(dst []byte, records int) []byte {
	dst = append(dst, majorArray<<5|2, envelopeVersion)
	return appendHead(dst, majorArray, uint64(records))
}

// AppendMessage writes the envelope of recs, each of which has passed Check.
func AppendMessage(dst []byte, recs []Record) []byte {
	dst = appendMessageHead(dst, len(recs))
	for _, r := range recs {
		dst = appendRecord(dst, r)
	}
	return dst
}

// ParseMessage reads what AppendMessage wrote. Bodies alias b. It accepts
// nothing that AppendMessage would not have written, except kinds that this
// version does not know: those stop the owner, which says so.
func ParseMessage(b []byte) ([]Record, error) {
	if len(b) > MaxMessage {
		return nil, &ParseError{0, fmt.Sprintf("message of %d bytes, at most %d are allowed", len(b), MaxMessage)}
	}
	d := decoder{b: b}
	d.array(2, "message")
	version(&d, "message")
	n := d.head(majorArray, "records")
	if d.err == nil && (n == 0 || n > MaxRecords || n > uint64(len(b)/minRecord)) {
		d.fail("records: %d of them in %d bytes, want 1 to %d", n, len(b), MaxRecords)
	}
	if d.err != nil {
		return nil, d.err
	}
	recs := make([]Record, 0, int(n))
	for range n {
		start := d.at
		r := parseRecord(&d)
		if d.err != nil {
			return nil, d.err
		}
		if err := r.Check(); err != nil {
			return nil, &ParseError{start, err.Error()}
		}
		recs = append(recs, r)
	}
	return recs, d.end()
}

func version(d *decoder, what string) {
	if v := d.uint(what + " version"); d.err == nil && v != envelopeVersion {
		d.fail("%s version %d, this program reads %d: a newer one wrote it", what, v, envelopeVersion)
	}
}

func parseRecord(d *decoder) Record {
	d.array(5, "record")
	version(d, "record")
	kind := d.uint("kind")
	if d.err == nil && kind > 0xff {
		d.fail("kind %d, at most 255 is allowed", kind)
	}
	origin := d.take(majorText, MaxOrigin, "origin")
	site := d.take(majorText, id.MaxName, "site")
	body := d.take(majorBytes, MaxBody, "body")
	return Record{Kind: RecordKind(kind), Origin: string(origin), Site: id.Site(site), Body: body}
}

// encode checks recs and writes their message.
func encode(recs []Record) ([]byte, error) {
	if len(recs) == 0 || len(recs) > MaxRecords {
		return nil, fmt.Errorf("%d records in a message, want 1 to %d", len(recs), MaxRecords)
	}
	size := maxMessageHead
	for i, r := range recs {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		size += recordSize(r)
	}
	if size > MaxMessage {
		return nil, fmt.Errorf("message of %d bytes, at most %d are allowed", size, MaxMessage)
	}
	return AppendMessage(make([]byte, 0, size), recs), nil
}
