package envelope

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errShort    = errors.New("ends too early")
	errVersion  = errors.New("has a version other than 1")
	errTooLarge = fmt.Errorf("has more than %d bytes", MaxRequest)
)

// parser reads the front of rest. After the first error it reads zeros.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// where names the item that an error lies in.
func (p *parser) where(i int) {
	if p.err != nil {
		p.err = fmt.Errorf("[%d]: %w", i, p.err)
	}
}

func (p *parser) version(whole []byte) {
	if len(whole) > MaxRequest {
		p.fail("%w", errTooLarge)
	}
	if v := p.take("version", 1); p.err == nil && v[0] != version {
		p.fail("%w", errVersion)
	}
}

func (p *parser) take(what string, n int) []byte {
	if p.err == nil && len(p.rest) < n {
		p.fail("%s: %w", what, errShort)
	}
	if p.err != nil {
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) byteBelow(what string, limit byte) byte {
	b := p.take(what, 1)
	if p.err != nil {
		return 0
	}
	if b[0] >= limit {
		p.fail("%s: want less than %d, got %d", what, limit, b[0])
		return 0
	}
	return b[0]
}

func (p *parser) word(what string) uint64 {
	b := p.take(what, 8)
	if p.err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// uint reads a varint in its only allowed, shortest, form.
func (p *parser) uint(what string) uint64 {
	if p.err != nil {
		return 0
	}
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || n > 1 && p.rest[n-1] == 0 {
		p.fail("%s: not a minimal varint", what)
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) bytes(what string, limit int) []byte {
	n := p.uint(what)
	if p.err == nil && n > uint64(limit) {
		p.fail("%s: want at most %d bytes, got %d", what, limit, n)
	}
	if p.err != nil {
		return nil
	}
	return p.take(what, int(n))
}

func (p *parser) end() error {
	if p.err == nil && len(p.rest) > 0 {
		p.fail("%d bytes follow the end", len(p.rest))
	}
	return p.err
}

func appendText[T string | []byte](dst []byte, text T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}
