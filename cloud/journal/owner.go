package journal

import (
	"errors"
	"fmt"
)

// Barrier is the body of the record that fences a shard's owner. Fences
// compare (Incarnation, Epoch). Previous is the sequence of the barrier before
// it, 0 for a log's first.
type Barrier struct {
	Incarnation, Epoch uint64
	Owner              string
	Previous           uint64
}

// Compare orders barriers by (incarnation, epoch): -1, 0 or 1.
func (b Barrier) Compare(o Barrier) int {
	switch {
	case b.Incarnation != o.Incarnation:
		return sign(b.Incarnation < o.Incarnation)
	case b.Epoch != o.Epoch:
		return sign(b.Epoch < o.Epoch)
	}
	return 0
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// Append writes [incarnation, epoch, owner, previous].
func (b Barrier) Append(dst []byte) []byte {
	dst = appendHead(dst, majorArray, 4)
	dst = appendUint(dst, b.Incarnation)
	dst = appendUint(dst, b.Epoch)
	dst = appendText(dst, b.Owner)
	return appendUint(dst, b.Previous)
}

// ParseBarrier reads what Barrier.Append wrote.
func ParseBarrier(body []byte) (Barrier, error) {
	d := decoder{b: body}
	d.array(4, "barrier")
	b := Barrier{Incarnation: d.uint("incarnation"), Epoch: d.uint("epoch")}
	b.Owner = string(d.take(majorText, MaxOrigin, "owner"))
	b.Previous = d.uint("previous")
	if d.err == nil && b.Owner == "" {
		d.fail("barrier without an owner")
	}
	if err := d.end(); err != nil {
		return Barrier{}, fmt.Errorf("journal: barrier: %w", err)
	}
	return b, nil
}

// Record returns the barrier as the log holds it.
func (b Barrier) Record() Record {
	return Record{Kind: KindBarrier, Origin: b.Owner, Body: b.Append(nil)}
}

// Barrier returns the barrier that m is, and whether it is one.
func (m Message) Barrier() (Barrier, bool, error) {
	if len(m.Records) != 1 || m.Records[0].Kind != KindBarrier {
		return Barrier{}, false, nil
	}
	b, err := ParseBarrier(m.Records[0].Body)
	return b, err == nil, err
}

// AppendSnapshot writes the body of a snapshot record, [manifest]: the
// sequence that the durable manifest stands at.
func AppendSnapshot(dst []byte, manifest uint64) []byte {
	return appendUint(appendHead(dst, majorArray, 1), manifest)
}

// ParseSnapshot reads what AppendSnapshot wrote.
func ParseSnapshot(body []byte) (manifest uint64, err error) {
	d := decoder{b: body}
	d.array(1, "snapshot")
	manifest = d.uint("manifest")
	if err := d.end(); err != nil {
		return 0, fmt.Errorf("journal: snapshot: %w", err)
	}
	return manifest, nil
}

// AppendTick writes the body of a tick record, []: nobody reads it.
func AppendTick(dst []byte) []byte { return appendHead(dst, majorArray, 0) }

// Skip is the body of the record that takes another out of replay.
type Skip struct {
	Position
	Reason uint64
}

// Append writes [seq, index, reason].
func (s Skip) Append(dst []byte) []byte {
	dst = appendHead(dst, majorArray, 3)
	dst = appendUint(dst, s.Seq)
	dst = appendUint(dst, uint64(s.Index))
	return appendUint(dst, s.Reason)
}

// ParseSkip reads what Skip.Append wrote.
func ParseSkip(body []byte) (Skip, error) {
	d := decoder{b: body}
	d.array(3, "skip")
	seq, index, reason := d.uint("seq"), d.uint("index"), d.uint("reason")
	if err := d.end(); err != nil {
		return Skip{}, fmt.Errorf("journal: skip: %w", err)
	}
	if index >= MaxRecords {
		return Skip{}, errors.New("journal: skip: index beyond any message")
	}
	return Skip{Position{seq, int(index)}, reason}, nil
}
