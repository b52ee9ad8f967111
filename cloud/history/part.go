package history

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
)

const (
	partVersion = 1

	// maxPartBody bounds the memory that a part takes when it is read: far above
	// what one message can project beyond the size at which a part is cut.
	maxPartBody = 256 << 20
	// maxPartItems bounds the arrays in it.
	maxPartItems = 1 << 24
	// partWindow is how far back the compression looks: names and columns repeat
	// within some frames.
	partWindow = 1 << 20
)

var (
	// ErrPartDamaged says that a part is not what was written.
	ErrPartDamaged = errors.New("digest differs: the part is damaged")
	// ErrPartVersion says that another program wrote a part.
	ErrPartVersion = errors.New("the part is of another version")
)

// Part is what the messages of a shard after one and up to another left, kept
// so that the shard's next owner can have it too.
type Part struct {
	Shard     int
	After, To uint64 // journal sequences, exclusive and inclusive
	Time      int64  // Unix microseconds of journal time at To
	Body      []byte // the messages' projections behind one another, by PartCodec.Append
	codec     *PartCodec
}

// PartCodec writes and reads parts. The bytes are deterministic: the same
// messages give the same part. It may be used from any goroutine.
type PartCodec struct {
	enc    cbor.UserBufferEncMode
	dec    cbor.DecMode
	pack   *zstd.Encoder
	unpack *zstd.Decoder
}

// NewPartCodec makes one; it takes its memory, a few MiB, with the first part.
func NewPartCodec() (*PartCodec, error) {
	c := new(PartCodec)
	opt := cbor.CoreDetEncOptions()
	opt.NilContainers = cbor.NilContainerAsEmpty
	var err error
	if c.enc, err = opt.UserBufferEncMode(); err != nil {
		return nil, fmt.Errorf("history: parts: cbor: %w", err)
	}
	if c.dec, err = (cbor.DecOptions{
		MaxArrayElements: maxPartItems, UTF8: cbor.UTF8DecodeInvalid, // an error's text may hold anything
	}).DecMode(); err != nil {
		return nil, fmt.Errorf("history: parts: cbor: %w", err)
	}
	if c.pack, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(partWindow), zstd.WithEncoderCRC(false)); err != nil {
		return nil, fmt.Errorf("history: parts: zstd: %w", err)
	}
	if c.unpack, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPartBody)); err != nil {
		return nil, fmt.Errorf("history: parts: zstd: %w", err)
	}
	return c, nil
}

// Append adds what a message left to the body of a part.
func (c *PartCodec) Append(body *bytes.Buffer, p *Projections) error {
	if p.Extent() == (Extent{}) {
		return nil
	}
	q := *p
	q.Dead = slices.Clone(p.Dead)
	for i := range q.Dead {
		q.Dead[i].cut()
	}
	if err := c.enc.MarshalToBuffer(q, body); err != nil {
		return fmt.Errorf("history: part: %w", err)
	}
	return nil
}

// sealed is a part on its way: behind it comes its SHA-256, before it one byte
// with the version.
type sealed struct {
	_         struct{} `cbor:",toarray"`
	Shard     int
	After, To uint64
	Time      int64
	Packed    []byte // zstd of the body
}

// Seal returns a part as one object.
func (c *PartCodec) Seal(p *Part) ([]byte, error) {
	out := bytes.NewBuffer([]byte{partVersion})
	if err := c.enc.MarshalToBuffer(sealed{
		Shard: p.Shard, After: p.After, To: p.To, Time: p.Time, Packed: c.pack.EncodeAll(p.Body, nil),
	}, out); err != nil {
		return nil, fmt.Errorf("history: part: %w", err)
	}
	sum := sha256.Sum256(out.Bytes())
	return append(out.Bytes(), sum[:]...), nil
}

// Open reads what Seal wrote. ErrPartDamaged, ErrPartVersion.
func (c *PartCodec) Open(data []byte) (*Part, error) {
	at := len(data) - sha256.Size
	if at < 1 {
		return nil, fmt.Errorf("history: part: %w", ErrPartDamaged)
	}
	if sum := sha256.Sum256(data[:at]); !bytes.Equal(sum[:], data[at:]) {
		return nil, fmt.Errorf("history: part: %w", ErrPartDamaged)
	}
	if data[0] != partVersion {
		return nil, fmt.Errorf("history: part: %w: %d, this program reads %d", ErrPartVersion, data[0], partVersion)
	}
	var in sealed
	if err := c.dec.Unmarshal(data[1:at], &in); err != nil {
		return nil, fmt.Errorf("history: part: %w: %w", ErrPartDamaged, err)
	}
	body, err := c.unpack.DecodeAll(in.Packed, nil)
	if err != nil {
		return nil, fmt.Errorf("history: part: %w: %w", ErrPartDamaged, err)
	}
	return &Part{Shard: in.Shard, After: in.After, To: in.To, Time: in.Time, Body: body, codec: c}, nil
}

// Each calls f with each message's projections.
func (p *Part) Each(f func(*Projections) error) error {
	for rest := p.Body; len(rest) > 0; {
		var q Projections
		var err error
		if rest, err = p.codec.dec.UnmarshalFirst(rest, &q); err != nil {
			return fmt.Errorf("history: part: %w: %w", ErrPartDamaged, err)
		}
		if err := f(&q); err != nil {
			return err
		}
	}
	return nil
}
