package senml_test

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/shared/wire/senml"
)

var run = id.Run{1}

func body() []byte {
	b := wire.Body{Profile: "test.all", Version: 1, Tick: 1_000_000, Columns: []wire.Column{
		{Point: "temperature", Unit: "Cel", Kind: wire.KindNumber, Mantissa: 1, Exponent: -2},
		{Point: "open", Unit: "1", Kind: wire.KindBoolean, Mantissa: 1},
		{Point: "pulses", Unit: "1", Kind: wire.KindCounter, Mantissa: 1},
		{Point: "ratio", Kind: wire.KindFloat, Mantissa: 1},
		{Point: "state", Kind: wire.KindText, Mantissa: 1},
	}}
	return b.Append(nil)
}

func schema(sid uint32) []byte {
	m := wire.Schema{Run: run, SID: sid, Device: id.Device{Site: "hq", Name: "t1"}, Hash: wire.HashBody(body()), Grid: 1000, Body: body()}
	return m.Append(nil)
}

func clock(source wire.ClockSource) []byte {
	m := wire.Clock{Run: run, Clk: 1, UTC0: 1_790_000_000_000_000, Source: source}
	return m.Append(nil)
}

// frame holds two rows of the series 1, the second with a bad temperature and
// an uncertain ratio.
func frame(form func(*wire.Frame) []byte) []byte {
	var r wire.Rows
	idle, _ := r.Text(4, "idle")
	stuck, _ := r.Text(4, `stuck at "<3>"`)
	r.Append(5_000, 0, []int64{2143, 1, 7, int64(math.Float64bits(0.1)), idle})
	q := wire.WithQuality(wire.WithQuality(0, 0, wire.Bad), 3, wire.Uncertain)
	r.Append(6_001, q, []int64{2143, 0, 8, int64(math.Float64bits(-2.5)), stuck})
	f := wire.Frame{Run: run, Seq: 9, Clk: 1, T0: 5_000, Blocks: []wire.Block{{SID: 1, N: 2, Data: wire.AppendColumns(nil, &r, 1000)}}}
	return form(&f)
}

func plain(f *wire.Frame) []byte { return f.Append(nil) }

func sequence(messages ...[]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = wire.AppendItem(out, m)
	}
	return out
}

func TestEveryKindOfColumnIsSaidAsSenML(t *testing.T) {
	gap := wire.Gap{Run: run, A: 10, B: 12, Reason: wire.GapQuota, Readings: 40}
	later := []byte{0x83, 1, 0x18, 200, 5}
	lane := wire.LaneStart{Lane: wire.LaneLive}
	var out strings.Builder
	got, err := senml.Dump(&out, bytes.NewReader(sequence(lane.Append(nil), schema(1), clock(wire.ClockSystem), frame(plain), gap.Append(nil), later)))
	if err != nil {
		t.Fatal(err)
	}
	if want := (senml.Counts{Frames: 1, Skipped: 1, Readings: 9, Bad: 1, Lost: 40}); got != want {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
	const want = `[
{"n":"hq/t1/temperature","u":"Cel","t":1790000005,"v":21.43},
{"n":"hq/t1/open","u":"1","t":1790000005,"vb":true},
{"n":"hq/t1/pulses","u":"1","t":1790000005,"v":7},
{"n":"hq/t1/ratio","t":1790000005,"v":0.1},
{"n":"hq/t1/state","t":1790000005,"vs":"idle"},
{"n":"hq/t1/open","u":"1","t":1790000006.001000,"vb":false},
{"n":"hq/t1/pulses","u":"1","t":1790000006.001000,"v":8},
{"n":"hq/t1/ratio","t":1790000006.001000,"v":-2.5,"quality":"uncertain"},
{"n":"hq/t1/state","t":1790000006.001000,"vs":"stuck at \"<3>\""}
]
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// Nobody may take a guess for a time.
func TestReadingsOfAClockThatWasNeverSynchronisedAreMarked(t *testing.T) {
	var c senml.Converter
	var records []senml.Record
	for _, msg := range [][]byte{schema(1), clock(wire.ClockNone), frame(plain)} {
		var err error
		if records, err = c.Take(records, msg); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range records {
		if r.Clock != "estimated" {
			t.Errorf("%s is not marked", r.Name)
		}
	}
	if len(records) != 9 || c.Counts.Estimated != 9 {
		t.Errorf("%d records, %d are counted as estimated", len(records), c.Counts.Estimated)
	}
}

// I6: whatever is wrong with a file, the error says where, and what came before
// is there, as a whole JSON array.
func TestAFileThatIsWrongIsNamedAndReadUpToThere(t *testing.T) {
	good := sequence(schema(1), clock(wire.ClockSystem), frame(plain))
	broken := frame(plain)
	broken[20] ^= 1
	hello := wire.Hello{Min: 1, Max: 1, Boots: make([]id.Boot, 1)}
	other := wire.Clock{Run: id.Run{2}, Clk: 1}
	elsewhere := wire.Schema{Run: run, SID: 1, Device: id.Device{Site: "hq", Name: "t2"}, Hash: wire.HashBody(body()), Grid: 1000, Body: body()}
	var rows wire.Rows
	idle, _ := rows.Text(4, "idle")
	rows.Append(0, 0, []int64{0, 0, 0, 0, idle})
	endless := wire.Frame{Run: run, Seq: 1, Clk: 1, T0: math.MaxInt64, Blocks: []wire.Block{{SID: 1, N: 1, Data: wire.AppendColumns(nil, &rows, 0)}}}
	for _, c := range []struct {
		name    string
		file    []byte
		want    string
		records int
	}{
		{"nothing", nil, "", 0},
		{"a frame of a flipped bit", slices.Concat(good, sequence(broken)), "message 4 at byte 296: wire: crc", 9},
		{"a file that ends early", slices.Concat(good, sequence(frame(plain))[:30]), "message 4 at byte 296: unexpected EOF", 9},
		{"no messages", slices.Concat(good, []byte("hello")), "message 4 at byte 296: wire: malformed: item", 9},
		{"a frame before its schema", sequence(clock(wire.ClockSystem), frame(plain)), "frame 9 of run 0100000000000000: no schema 1 of the run before it", 0},
		{"a frame before its clock", sequence(schema(1), frame(plain)), "frame 9 of run 0100000000000000: no clock 1 of the run before it", 0},
		{"the clock of another run", sequence(schema(1), other.Append(nil), frame(plain)), "no clock 1 of the run", 0},
		{"a message that no lane carries", slices.Concat(good, sequence(hello.Append(nil))), "message 4 at byte 296: hello: want what a lane carries", 9},
		{"a sequenced message of a later version", sequence([]byte{0x84, 1, 9, 0x40, 1}), "message 1 at byte 0: unknown(9)", 0},
		{"a clock with two meanings", sequence(clock(wire.ClockSystem), clock(wire.ClockNone)), "clock 1 of run 0100000000000000 is defined otherwise before", 0},
		{"a series with two meanings", sequence(schema(1), elsewhere.Append(nil)), "schema 1 of run 0100000000000000 is defined otherwise before", 0},
		{"a time that nothing has", sequence(schema(1), clock(wire.ClockSystem), endless.Append(nil)), "is beyond any boot", 0},
		{"another version", sequence([]byte{0x82, 2, 1}), "protocol version 2", 0},
	} {
		var out bytes.Buffer
		_, err := senml.Dump(&out, bytes.NewReader(c.file))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want an error with %q, got %v", c.name, c.want, err)
		}
		var records []senml.Record
		if err := json.Unmarshal(out.Bytes(), &records); err != nil || len(records) != c.records {
			t.Errorf("%s: %d records before the error, want %d: %v\n%s", c.name, len(records), c.records, err, out.String())
		}
	}
}

func TestAPackedFrameSaysTheSame(t *testing.T) {
	var p wire.Packer
	var both [2]strings.Builder
	for i, form := range []func(*wire.Frame) []byte{plain, func(f *wire.Frame) []byte {
		f.Blocks[0].Data = bytes.Clone(f.Blocks[0].Data)
		return p.Append(nil, f)
	}} {
		messages := [][]byte{clock(wire.ClockSystem)}
		for sid := range uint32(20) {
			messages = append(messages, schema(sid+1))
		}
		many := frame(func(f *wire.Frame) []byte {
			for sid := uint32(2); sid <= 20; sid++ {
				f.Blocks = append(f.Blocks, f.Blocks[0])
				f.Blocks[sid-1].SID = sid
			}
			return form(f)
		})
		if k, err := wire.Peek(many); err != nil || (k == wire.KindPacked) != (i == 1) {
			t.Fatalf("the frame is a %s, %v", k, err)
		}
		if _, err := senml.Dump(&both[i], bytes.NewReader(sequence(append(messages, many)...))); err != nil {
			t.Fatal(err)
		}
	}
	if both[0].String() != both[1].String() {
		t.Error("the plain and the packed frame differ")
	}
}

// Each time is exact to the microsecond, as far as there are 64 bits.
func TestATimeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		utc0 := rapid.Int64Range(-math.MaxInt64/2, math.MaxInt64/2).Draw(t, "utc0")
		var c senml.Converter
		clock := wire.Clock{Run: run, Clk: 1, UTC0: utc0}
		b := wire.Body{Profile: "p", Tick: 1, Columns: []wire.Column{{Point: "x", Mantissa: 1}}}
		s := wire.Schema{Run: run, SID: 1, Device: id.Device{Site: "hq", Name: "t1"}, Hash: wire.HashBody(b.Append(nil)), Body: b.Append(nil)}
		f := wire.Frame{Run: run, Seq: 1, Clk: 1, Blocks: []wire.Block{{SID: 1, N: 1, Data: []byte{0, 0, 0}}}}
		var records []senml.Record
		for _, msg := range [][]byte{clock.Append(nil), s.Append(nil), f.Append(nil)} {
			var err error
			if records, err = c.Take(records, msg); err != nil {
				t.Fatal(err)
			}
		}
		whole, part, _ := strings.Cut(records[0].Time.String(), ".")
		part += strings.Repeat("0", 6-len(part))
		back := json.Number(strings.TrimLeft(strings.TrimLeft(whole, "-")+part, "0"))
		if utc0 == 0 {
			back = "0"
		} else if utc0 < 0 {
			back = "-" + back
		}
		if got, err := back.Int64(); err != nil || got != utc0 {
			t.Fatalf("%d became %s", utc0, records[0].Time)
		}
	})
}

func FuzzDump(f *testing.F) {
	f.Add(sequence(schema(1), clock(wire.ClockSystem), frame(plain)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		counts, _ := senml.Dump(&out, bytes.NewReader(b))
		var records []senml.Record
		if err := json.Unmarshal(out.Bytes(), &records); err != nil || len(records) != counts.Readings {
			t.Fatalf("%d records for %d readings: %v", len(records), counts.Readings, err)
		}
	})
}
