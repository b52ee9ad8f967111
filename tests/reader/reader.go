// Command reader prints the readings in a file of Atrium's lane messages as SenML
// (RFC 8428). It is written from shared/wire/PROTOCOL.md alone, by somebody who
// had not seen the product's code, and so shows whether that text suffices.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ugorji/go/codec"
)

const maxMessage, maxBlocks, maxRows, maxColumns, maxStrings, maxString = 256 << 10, 1024, 65536, 31, 1024, 1024

// item decodes the item at the head of data into v and returns what is behind it.
// Encoded again it must be the same: all is definite and shortest-form.
func item(data []byte, v any) (rest []byte) {
	h, again := &codec.CborHandle{}, []byte(nil)
	h.StructToArray, h.ValidateUnicode = true, true
	err := codec.NewDecoderBytes(data, h).Decode(v)
	require(err == nil, "%v", err)
	err = codec.NewEncoderBytes(&again, h).Encode(v)
	require(err == nil && bytes.HasPrefix(data, again), "CBOR of another type or not in its shortest form")
	return data[len(again):]
}

// array decodes an array of these items, pointers, that is all of data.
func array(data []byte, items ...any) {
	n, rest := len(items), item(data, &items)
	require(len(rest) == 0 && len(items) == n, "%d items in place of %d, %d bytes behind them", len(items), n, len(rest))
	require(!slices.Contains(items, nil), "a null") // it would leave its item alone
}

type (
	key struct { // names what a schema or a clock says
		run  [8]byte
		kind uint64
		n    uint64
	}
	definition struct {
		message, device string
		grid, tick      int64 // in ticks; in ns
		points          []point
		utc0            int64 // in µs
	}
	point struct {
		Name, Unit     string
		Kind, Mantissa uint64
		Exponent       int64
	}
	block struct {
		Sid, N  uint64
		DT0     int64
		Columns []byte
	}
	reader struct {
		known map[key]definition
		count map[string]int // messages, codecs, readings without a value
	}
)

// message reads one message and returns its readings.
func (r *reader) message(m []byte) []string {
	require(len(m) > 2, "a message of %d bytes", len(m))
	var version, seq, suppressed, n, last, reason uint64
	var t0, t1 int64
	var blocks []block
	var packed []byte
	var crc [4]byte
	var boot [16]byte
	k := key{}
	item(item(m[1:], &version), &k.kind)
	require(version == 1, "version %d", version)
	if k.kind < 16 {
		body := m[:max(0, len(m)-5)]
		sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
		require(bytes.Equal(m[len(body):], binary.BigEndian.AppendUint32([]byte{0x44}, sum)), "it does not end with its CRC %08x", sum)
	}
	r.count[fmt.Sprint("messages of kind ", k.kind)]++
	switch k.kind {
	case 1:
		array(m, &version, &k.kind, &k.run, &seq, &n, &t0, &suppressed, &blocks, &crc)
		return r.frame(k.run, n, t0, blocks)
	case 2:
		array(m, &version, &k.kind, &k.run, &seq, &last, &reason, &n, &t0, &t1, &crc)
		require(seq >= 1 && seq <= last && reason >= 1 && reason <= 4, "a gap from %d to %d of reason %d", seq, last, reason)
	case 3:
		array(m, &version, &k.kind, &k.run, &seq, &n, &t0, &suppressed, &packed, &crc)
		require(len(item(unpack(packed), &blocks)) == 0, "bytes behind the packed blocks")
		return r.frame(k.run, n, t0, blocks)
	case 19:
		r.schema(k, m)
	case 20:
		array(m, &version, &k.kind, &k.run, &k.n, &boot, &t0, &n, &reason)
		r.define(k, definition{message: string(m), utc0: t0})
	default:
		require(k.kind == 18 || k.kind >= 128, "a message of kind %d on a lane", k.kind)
	}
	return nil
}

// define refuses another meaning for a series or a clock that has one.
func (r *reader) define(k key, d definition) {
	old, ok := r.known[k]
	require(!ok || old.message == d.message, "series or clock %d is defined otherwise", k.n)
	require(k.n >= 1 && k.n <= math.MaxUint32, "series or clock %d", k.n)
	r.known[k] = d
}

func (r *reader) schema(k key, m []byte) {
	var version, grid, revision, tick uint64
	var profile string
	var hash [16]byte
	var digest [32]byte
	var body []byte
	d := definition{message: string(m)}
	array(m, &version, &k.kind, &k.run, &k.n, &d.device, &hash, &grid, &digest, &body)
	sum := sha256.Sum256(body)
	require(bytes.Equal(hash[:], sum[:16]), "its hash is not its body's")
	array(body, &version, &profile, &revision, &tick, &d.points)
	require(version == 1 && len(body) <= 8<<10, "a body of version %d, %d bytes", version, len(body))
	require(len(d.points) >= 1 && len(d.points) <= maxColumns, "%d columns", len(d.points))
	require(tick >= 1 && tick <= math.MaxInt64, "a tick of %d ns", tick)
	for _, p := range d.points {
		ok := p.Kind <= 4 && p.Mantissa >= 1 && p.Exponent >= -30 && p.Exponent <= 30
		require(ok && (p.Kind < 3 || p.Mantissa == 1 && p.Exponent == 0), "point %q: %+v", p.Name, p)
	}
	d.grid, d.tick = int64(grid), int64(tick)
	r.define(k, d)
}

func unpack(packed []byte) []byte {
	var h zstd.Header
	err := h.Decode(packed)
	require(err == nil && h.HasFCS && h.DictionaryID == 0 && max(h.FrameContentSize, h.WindowSize) <= maxMessage, "a zstd head %+v (%v)", h, err)
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxMessage))
	require(err == nil, "zstd: %v", err)
	defer d.Close()
	data, err := d.DecodeAll(packed, nil)
	require(err == nil && uint64(len(data)) == h.FrameContentSize, "zstd: %d bytes in place of %d (%v)", len(data), h.FrameContentSize, err)
	return data
}

func (r *reader) frame(run [8]byte, clk uint64, t0 int64, blocks []block) (records []string) {
	clock, ok := r.known[key{run, 20, clk}]
	require(ok, "no clock %d before it", clk)
	require(len(blocks) >= 1 && len(blocks) <= maxBlocks, "%d blocks", len(blocks))
	rows, before := uint64(0), uint64(0)
	for _, b := range blocks {
		s, ok := r.known[key{run, 19, b.Sid}]
		require(ok && b.Sid > before, "no schema %d before it, or sids that do not ascend", b.Sid)
		require(b.N >= 1 && b.N <= maxRows-rows, "%d rows behind %d", b.N, rows)
		rows, before = rows+b.N, b.Sid
		ns := new(big.Int).Mul(big.NewInt(t0), big.NewInt(1_000_000))
		first := b.DT0 + ns.Div(ns, big.NewInt(s.tick)).Int64()
		c, n := columns{data: b.Columns, used: r.count}, int(b.N)
		times, quality := c.column(n, true, s.grid), c.column(n, false, 0)
		for p, point := range s.points {
			values, texts := []int64(nil), []string(nil)
			if point.Kind == 4 {
				texts, values = c.texts(n)
			} else {
				values = c.column(n, false, 0)
			}
			for i, v := range values {
				us := clock.utc0 + (first+times[i])*s.tick/1000
				if quality[i]>>(2*p)&3 == 2 {
					r.count["readings without a value"]++
					continue
				}
				records = append(records, point.record(s.device, us, v, texts))
			}
		}
		require(c.at == 8*len(c.data), "%d bytes behind the columns", len(c.data)-c.at/8)
	}
	return records
}

func (p point) record(device string, us, v int64, texts []string) string {
	seconds := new(big.Rat).SetFrac64(us, 1_000_000).FloatString(6)
	senml := map[string]any{"n": device + "/" + p.Name, "t": json.Number(seconds)}
	if p.Unit != "" {
		senml["u"] = p.Unit
	}
	var err error
	switch p.Kind {
	case 1:
		senml["vb"] = v != 0
	case 3:
		senml["v"] = math.Float64frombits(uint64(v))
	case 4:
		senml["vs"] = texts[v]
	default: // the double that is nearest to v * mantissa * 10^exponent
		m := new(big.Int).Mul(big.NewInt(v), new(big.Int).SetUint64(p.Mantissa))
		senml["v"], err = strconv.ParseFloat(fmt.Sprintf("%de%d", m, p.Exponent), 64)
	}
	require(err == nil, "%v", err)
	text, err := json.Marshal(senml)
	require(err == nil, "%v", err) // a float that is not finite
	return string(text)
}

// next reads the message at the head of data. Without a rest there is no telling
// where the message after it begins.
func (r *reader) next(data []byte) (records []string, rest []byte, err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case fault:
			err = fmt.Errorf("%s", string(f))
		default:
			panic(f)
		}
	}()
	var m []byte
	rest = item(data, &m)
	require(len(m) <= maxMessage, "a message of %d bytes", len(m))
	return r.message(m), rest, nil
}

// read reads a file's messages and returns the readings, and what is wrong.
func (r *reader) read(data []byte) (records []string, wrong []error) {
	for rest, at := data, 0; len(rest) > 0; at = len(data) - len(rest) {
		found, behind, err := r.next(rest)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("message at byte %d: %w", at, err))
		}
		records, rest = append(records, found...), behind
	}
	return records, wrong
}

func main() {
	verbose := flag.Bool("v", false, "count messages and codecs on standard error")
	flag.Parse()
	data, err := os.ReadFile(flag.Arg(0))
	r := reader{map[key]definition{}, map[string]int{}}
	records, wrong := r.read(data)
	if err != nil {
		wrong = append(wrong, err)
	}
	fmt.Printf("[%s]\n", strings.Join(records, ",\n"))
	for _, err := range wrong {
		fmt.Fprintln(os.Stderr, err)
	}
	if *verbose {
		fmt.Fprintln(os.Stderr, r.count)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
}
