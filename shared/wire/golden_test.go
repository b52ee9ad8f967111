package wire_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const goldenFile = "testdata/messages.txt"

var update = flag.Bool("update", false, "write "+goldenFile)

// golden is one entry of the file: a name, the bytes, and what they say in
// CBOR's diagnostic notation.
type golden struct {
	name, diagnostic string
	bytes            []byte
}

func readGolden(t testing.TB) []golden {
	data, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var out []golden
	for i, entry := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		lines := strings.Split(entry, "\n")
		if len(lines) != 3 {
			t.Fatalf("%s: entry %d has %d lines, want 3", goldenFile, i, len(lines))
		}
		b, err := hex.DecodeString(lines[1])
		if err != nil {
			t.Fatalf("%s: %s: %v", goldenFile, lines[0], err)
		}
		out = append(out, golden{lines[0], lines[2], b})
	}
	return out
}

// The format is pinned: bytes that a gateway stored must be read by every later
// version. The diagnostic notation comes from an independent CBOR decoder.
func TestTheFormatOfEveryMessageStaysAsItIs(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	recorded := readGolden(t)
	examples := examples()
	if len(recorded) != len(examples) {
		t.Fatalf("%d entries for %d examples", len(recorded), len(examples))
	}
	for i, g := range recorded {
		e := examples[i]
		if g.name != e.name {
			t.Fatalf("entry %d is %q, want %q", i, g.name, e.name)
		}
		// What zstd makes of a frame may change with the library; that it is read may not.
		if got := e.message.Append(nil); !bytes.Equal(got, g.bytes) && e.name != "packed frame" {
			t.Errorf("%s encodes to\n%x, recorded as\n%x", g.name, got, g.bytes)
		}
		if got, err := cbor.Diagnose(g.bytes); err != nil || got != g.diagnostic {
			t.Errorf("%s says %s (%v), recorded as %s", g.name, got, err, g.diagnostic)
		}
		back, err := e.parse(g.bytes)
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
		} else if diff := cmp.Diff(e.message, back); diff != "" {
			t.Errorf("%s: %s", g.name, diff)
		}
	}
}

func writeGolden(t *testing.T) {
	var out strings.Builder
	for _, e := range examples() {
		b := e.message.Append(nil)
		d, err := cbor.Diagnose(b)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n%x\n%s\n\n", e.name, b, d)
	}
	if err := os.WriteFile(goldenFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// alike is a frame of four devices that say the same.
func alike(run id.Run) *packed {
	m := packed{wire.Frame{Run: run, Seq: 301, Clk: 1, T0: 86_401_000}}
	for sid := range uint32(4) {
		m.Blocks = append(m.Blocks, wire.Block{SID: sid + 1, N: 1, Data: []byte{0, 0, 1, 0xd8, 4, 1, 0xb2, 0x46, 1, 0xea, 0x9d, 0x0c}})
	}
	return &m
}

type example struct {
	name    string
	message appender
	parse   func([]byte) (appender, error)
}

func examples() []example {
	run := id.Run{0xa0, 1, 2, 3, 4, 5, 6, 7}
	boot := id.Boot{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	command := id.Command{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	device := id.Device{Site: "hq", Name: "t1"}
	body := wire.Body{Profile: "bosch.bme280", Version: 1, Tick: 1_000_000, Columns: []wire.Column{
		{Point: "temperature", Unit: "Cel", Kind: wire.KindNumber, Mantissa: 1, Exponent: -2},
		{Point: "open", Kind: wire.KindBoolean, Mantissa: 1},
		{Point: "count", Unit: "1", Kind: wire.KindCounter, Mantissa: 625, Exponent: 1},
		{Point: "ratio", Unit: "1", Kind: wire.KindFloat, Mantissa: 1},
		{Point: "state", Kind: wire.KindText, Mantissa: 1},
	}}
	encoded := body.Append(nil)
	return []example{
		{"body", &body, parser(wire.ParseBody)},
		{"frame", &wire.Frame{Run: run, Seq: 300, Clk: 1, T0: 86_400_000, Suppressed: 2, Blocks: []wire.Block{
			{SID: 1, N: 3, DT0: 0, Data: []byte{0x60, 0xc0, 0, 0}},
			{SID: 2, N: 1, DT0: -5, Data: []byte{0, 0, 1, 0xd8, 4}},
		}}, parser(wire.ParseFrame)},
		{"packed frame", alike(run), parsePacked},
		{"gap", &wire.Gap{Run: run, A: 5, B: 70_000, Reason: wire.GapQuota, Readings: 1 << 33, TFirst: -1, TLast: 1000}, parser(wire.ParseGap)},
		{"hello", &wire.Hello{
			Min: 1, Max: 1, Agent: "atrium-edge 1.0", Board: id.Board{15: 7}, Interval: 1000, Now: 123_456,
			Boots: []id.Boot{boot}, Runs: []wire.RunInfo{
				{Run: run, Class: wire.Telemetry, Boot: 0, First: 3, Last: 9, State: wire.RunUnclean},
				{Run: id.Run{7: 1}, Class: wire.Events, Boot: 0, First: 1, Last: 0, State: wire.RunOpen},
			},
		}, parser(wire.ParseHello)},
		{"welcome", &wire.Welcome{Version: 1, Cluster: "c-1", Node: "n1", Now: 1_790_000_000_000, Credit: 1 << 20}, parser(wire.ParseWelcome)},
		{"lane", &wire.LaneStart{Lane: wire.LaneBacklog}, parser(wire.ParseLaneStart)},
		{"schema", &wire.Schema{Run: run, SID: 2, Device: device, Hash: wire.HashBody(encoded), Grid: 1000, Digest: [32]byte{31: 9}, Body: encoded}, parser(wire.ParseSchema)},
		{"clock", &wire.Clock{Run: run, Clk: 1, Boot: boot, UTC0: 1_790_000_000_000_000, Uncertainty: 2500, Source: wire.ClockWelcome}, parser(wire.ParseClock)},
		{"bind", &wire.Bind{Devices: []id.Device{device, {Site: "hq", Name: "c1"}}}, parser(wire.ParseBind)},
		{"ack", &wire.Ack{Runs: []wire.RunSeq{{Run: run, Seq: 300}, {Run: id.Run{7: 1}, Seq: 1}}}, parser(wire.ParseAck)},
		{"reject", &wire.Reject{Run: run, Seq: 301, Reason: wire.RejectUnknownSchema, Text: "sid 9"}, parser(wire.ParseReject)},
		{"credit", &wire.Credit{Total: 1 << 40}, parser(wire.ParseCredit)},
		{"command", &wire.Command{ID: command, Device: device, Name: "set", Remaining: 30_000, Args: []wire.Arg{
			{Name: "level", Value: wire.Value{Kind: wire.KindNumber, Number: -21.5}},
			{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: 1}},
		}}, parser(wire.ParseCommand)},
		{"result", &wire.Result{ID: command, State: wire.ResultDone, Confirmed: wire.ConfirmShadow, Ago: 12, Text: "line 27 is high"}, parser(wire.ParseResult)},
		{"settled", &wire.Settled{IDs: []id.Command{command, {15: 1}}}, parser(wire.ParseSettled)},
		{"nodes", &wire.Nodes{Addresses: []string{"n1.example.org:7443", "[2001:db8::1]:7443"}}, parser(wire.ParseNodes)},
		{"redirect", &wire.Redirect{Address: "n2.example.org:7443", Reason: wire.RedirectOwner}, parser(wire.ParseRedirect)},
		{"later", &wire.Later{Pause: 5000}, parser(wire.ParseLater)},
		{"ask-time", &wire.AskTime{Question: 7}, parser(wire.ParseAskTime)},
		{"time", &wire.Time{Question: 7, Now: 1_750_000_000_000}, parser(wire.ParseTime)},
	}
}
