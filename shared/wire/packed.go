package wire

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// packPercent is what a packed frame must have at most of the plain one's size
// to be kept: less gain is not worth its reader's time.
const packPercent = 95

// Packer writes frames in whichever form is shorter, plain or packed. The zero
// value is ready; it takes its memory, some hundred KiB, with the first frame.
// It is not for concurrent use.
type Packer struct {
	encoder *zstd.Encoder
	packed  []byte
}

// Append writes f as Frame.Append does, or packed if that saves more than 5 %.
func (p *Packer) Append(dst []byte, f *Frame) []byte {
	start := len(dst)
	dst = f.appendHead(dst, KindFrame)
	at := len(dst)
	dst = f.appendBlocks(dst)
	if blocks := dst[at:]; len(blocks) <= MaxFrame {
		p.pack(blocks)
		head := at - start
		if 100*(head+ItemSize(len(p.packed))+crcSize) < packPercent*(head+len(blocks)+crcSize) {
			dst = appendBytes(f.appendHead(dst[:start], KindPacked), p.packed)
		}
	}
	return appendCRC(dst, start)
}

// pack compresses blocks into p.packed.
func (p *Packer) pack(blocks []byte) {
	if p.encoder == nil {
		// One block after another, and no memory for what a stream would need.
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(MaxFrame), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(fmt.Sprintf("BUG: wire: zstd options: %v", err))
		}
		p.encoder = encoder
	}
	p.packed = p.encoder.EncodeAll(blocks, p.packed[:0])
}

// Unpacker reads frames of both forms. The zero value is ready; it takes its
// memory with the first packed frame and bounds it, whatever comes, by some
// MaxFrame. It is not for concurrent use.
type Unpacker struct{ decoder *zstd.Decoder }

// Parse is Frame.Parse into f. The blocks of a packed frame have memory of
// their own, so that they do not alias b.
func (u *Unpacker) Parse(f *Frame, b []byte) error {
	c, kind, err := f.parseHead(b)
	if err != nil {
		return err
	}
	if kind == KindFrame {
		f.parseBlocks(&c)
		return c.end()
	}
	packed := c.bytes("packed", MaxFrame)
	if err := c.end(); err != nil {
		return err
	}
	blocks := cursor{}
	blocks.b, blocks.err = u.unpack(packed)
	f.parseBlocks(&blocks)
	return blocks.end()
}

// unpack returns the content of one zstd frame, which must say its size: memory
// is taken for that, once it is known to be within the limit, and for no more.
func (u *Unpacker) unpack(packed []byte) ([]byte, error) {
	fail := func(reason RejectReason, err error) ([]byte, error) {
		return nil, &Error{Reason: reason, At: "packed", Err: err}
	}
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return fail(RejectMalformed, err)
	}
	switch {
	case h.Skippable || !h.HasFCS || h.DictionaryID != 0:
		return fail(RejectMalformed, errors.New("is not a zstd frame without dictionary that says its size"))
	case h.FrameContentSize > MaxFrame || h.WindowSize > MaxFrame:
		return fail(RejectLimit, fmt.Errorf("holds %d bytes in a window of %d, at most %d are allowed", h.FrameContentSize, h.WindowSize, MaxFrame))
	}
	if u.decoder == nil {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxFrame), zstd.WithDecoderMaxWindow(MaxFrame), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(fmt.Sprintf("BUG: wire: zstd options: %v", err))
		}
		u.decoder = decoder
	}
	blocks, err := u.decoder.DecodeAll(packed, make([]byte, 0, h.FrameContentSize))
	if err != nil {
		return fail(RejectMalformed, err)
	}
	return blocks, nil
}
