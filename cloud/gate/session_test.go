package gate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// stage drives a session by the commands of testdata/session.
type stage struct {
	s       *session
	foreign map[id.Run]bool
	lag     int64
	now     time.Time
}

func newStage() *stage {
	st := &stage{foreign: make(map[id.Run]bool), now: time.Unix(0, 0)}
	st.s = newSession(id.Gateway{Site: "hq", Name: "gw"}, func(r id.Run) bool { return !st.foreign[r] }, new(scratches))
	return st
}

// runNamed makes a run of a one-letter name.
func runNamed(name string) (r id.Run) {
	copy(r[:], name)
	return r
}

func testBody() []byte {
	b := wire.Body{Profile: "atrium.counter", Version: 1, Tick: 1_000_000, Columns: []wire.Column{{Point: "count", Unit: "1", Kind: wire.KindCounter, Mantissa: 1}}}
	return b.Append(nil)
}

func testHello(runs ...wire.RunInfo) []byte {
	h := wire.Hello{Min: 1, Max: 1, Agent: "test", Interval: 1000, Boots: []id.Boot{{1}}, Runs: runs}
	return h.Append(nil)
}

func testSchema(run string, sid uint32, dev string, grid uint64) []byte {
	body := testBody()
	d, err := id.ParseDevice(dev)
	if err != nil {
		panic(err)
	}
	m := wire.Schema{Run: runNamed(run), SID: sid, Device: d, Hash: wire.HashBody(body), Grid: grid, Body: body}
	return m.Append(nil)
}

func testClock(run string, clk uint32, utc0 int64) []byte {
	m := wire.Clock{Run: runNamed(run), Clk: clk, Boot: id.Boot{1}, UTC0: utc0}
	return m.Append(nil)
}

func testFrame(run string, seq uint64, clk, sid uint32) []byte {
	var rows wire.Rows
	rows.Append(1000, 0, []int64{int64(seq)})
	f := wire.Frame{Run: runNamed(run), Seq: seq, Clk: clk, T0: 1000, Blocks: []wire.Block{{SID: sid, N: 1, Data: wire.AppendColumns(nil, &rows, 0)}}}
	return f.Append(nil)
}

// testPacked is a packed frame of series 1 with one block.
func testPacked(run string, seq uint64, rows int) []byte {
	var r wire.Rows
	for i := range rows {
		r.Append(int64(1000+i), 0, []int64{7 * int64(i%5)})
	}
	f := wire.Frame{Run: runNamed(run), Seq: seq, Clk: 1, T0: 1000, Blocks: []wire.Block{{SID: 1, N: rows, Data: wire.AppendColumns(nil, &r, 0)}}}
	var p wire.Packer
	return p.Append(nil, &f)
}

// optional is a message of kind 200 with a field.
var optional = []byte{0x83, 1, 0x18, 200, 5}

func testGap(run string, a, b uint64) []byte {
	g := wire.Gap{Run: runNamed(run), A: a, B: b, Reason: wire.GapRejected, Readings: 1}
	return g.Append(nil)
}

func testCommand(name string, remaining uint64) wire.Command {
	m := wire.Command{Device: id.Device{Site: "hq", Name: "r1"}, Name: "set", Remaining: remaining}
	copy(m.ID[:], name)
	return m
}

func testResult(name string, state wire.ResultState) []byte {
	m := wire.Result{ID: testCommand(name, 0).ID, State: state}
	return m.Append(nil)
}

func TestSession(t *testing.T) {
	datadriven.Walk(t, "testdata/session", func(t *testing.T, path string) {
		st := newStage()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				out.WriteString(st.do(t, strings.Fields(line)))
			}
			return out.String()
		})
	})
}

// do runs one line: COMMAND ARG... and returns what came of it.
func (st *stage) do(t *testing.T, f []string) string {
	t.Helper()
	num := func(i int) uint64 {
		n, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		return n
	}
	switch f[0] {
	case "hello": // hello [RUN STATE LAST]
		var runs []wire.RunInfo
		for i := 1; i+2 < len(f); i += 3 {
			states := map[string]wire.RunState{"open": wire.RunOpen, "closed": wire.RunClosed, "unclean": wire.RunUnclean}
			runs = append(runs, wire.RunInfo{Run: runNamed(f[i]), Class: wire.Telemetry, First: 1, Last: num(i + 2), State: states[f[i+1]]})
		}
		return show(st.s.control(testHello(runs...)))
	case "hello-of-versions":
		h := wire.Hello{Min: num(1), Max: num(2), Boots: []id.Boot{{1}}}
		return show(st.s.control(h.Append(nil)))
	case "bind":
		b := wire.Bind{}
		for _, dev := range f[1:] {
			d, err := id.ParseDevice(dev)
			if err != nil {
				t.Fatal(err)
			}
			b.Devices = append(b.Devices, d)
		}
		return show(st.s.control(b.Append(nil)))
	case "lane":
		_, err := st.s.laneStart((&wire.LaneStart{Lane: wire.LaneLive}).Append(nil))
		return show(verdict{}, err)
	case "schema": // schema RUN SID DEVICE GRID
		return show(st.s.lane(testSchema(f[1], uint32(num(2)), f[3], num(4))))
	case "clock": // clock RUN CLK UTC0
		return show(st.s.lane(testClock(f[1], uint32(num(2)), int64(num(3)))))
	case "frame": // frame RUN SEQ [CLK SID]
		clk, sid := uint32(1), uint32(1)
		if len(f) > 3 {
			clk, sid = uint32(num(3)), uint32(num(4))
		}
		return show(st.s.lane(testFrame(f[1], num(2), clk, sid)))
	case "corrupt-frame": // corrupt-frame RUN SEQ
		msg := testFrame(f[1], num(2), 1, 1)
		msg[len(msg)-6] ^= 1
		return show(st.s.lane(msg))
	case "frame-of-kind": // frame-of-kind KIND RUN SEQ
		msg := testFrame(f[2], num(3), 1, 1)
		msg[2] = byte(num(1)) // behind the array's head and the version
		return show(st.s.lane(msg))
	case "packed": // packed RUN SEQ ROWS
		return show(st.s.lane(testPacked(f[1], num(2), int(num(3)))))
	case "optional-on-lane":
		return show(st.s.lane(optional))
	case "optional-on-control":
		return show(st.s.control(optional))
	case "gap": // gap RUN A B
		return show(st.s.lane(testGap(f[1], num(2), num(3))))
	case "control-on-lane":
		return show(st.s.lane(testHello()))
	case "frame-on-control":
		return show(st.s.control(testFrame("a", 1, 1, 1)))
	case "foreign": // foreign RUN
		st.foreign[runNamed(f[1])] = true
		return ""
	case "lag":
		st.lag = int64(num(1))
		return ""
	case "durable": // durable TICKET...
		for i := range f[1:] {
			st.s.durable(num(i + 1))
		}
		return ""
	case "result": // result ID...
		var out string
		for _, name := range f[1:] {
			out += show(st.s.control(testResult(name, wire.ResultDone)))
		}
		return out
	case "results": // results COUNT
		for range num(1) - 1 {
			if _, err := st.s.control(testResult("r", wire.ResultDone)); err != nil {
				return show(verdict{}, err)
			}
		}
		return show(st.s.control(testResult("r", wire.ResultDone)))
	case "result-with-trailing-bytes":
		return show(st.s.control(append(testResult("r", wire.ResultDone), 0)))
	case "command-from-gateway":
		m := testCommand("r", 0)
		return show(st.s.control(m.Append(nil)))
	case "command": // command ID REMAINING
		if err := st.s.command(testCommand(f[1], num(2)), st.now); err != nil {
			return fmt.Sprintf("  %v\n", err)
		}
		return ""
	case "commands": // commands COUNT
		for i := range num(1) {
			if err := st.s.command(testCommand(fmt.Sprintf("c%d", i), 1000), st.now); err != nil {
				t.Fatal(err)
			}
		}
		return ""
	case "wait": // wait MILLISECONDS
		st.now = st.now.Add(time.Duration(num(1)) * time.Millisecond)
		return ""
	case "end":
		return fmt.Sprintf("  lost %d\n", st.s.end())
	case "send":
		st.s.credit(st.lag)
		sent, commands := st.s.take(wire.Welcome{Version: 1}, st.now)
		out := showSent(t, sent)
		if commands.expired > 0 {
			out += fmt.Sprintf("  expired %d\n", commands.expired)
		}
		return out
	case "state":
		return fmt.Sprintf("  entries %d, queued %d\n", st.s.entries, len(st.s.queue))
	}
	t.Fatalf("unknown command %q", f[0])
	return ""
}

func show(v verdict, err error) string {
	var c *closing
	switch {
	case errors.As(err, &c):
		return fmt.Sprintf("  close %s\n", c)
	case err != nil:
		return fmt.Sprintf("  BUG: %v\n", err)
	case v.ticket != 0:
		return fmt.Sprintf("  append %s as #%d\n", v.kind, v.ticket)
	case v.rejected != 0:
		return fmt.Sprintf("  rejected: %s\n", v.rejected)
	case v.discarded:
		return "  discarded\n"
	case v.unknown:
		return "  skipped\n"
	}
	return "  taken\n"
}

func showSent(t *testing.T, b []byte) string {
	var out strings.Builder
	r := wire.NewReader(strings.NewReader(string(b)), wire.MaxControl)
	for {
		msg, err := r.Next()
		if err != nil {
			break
		}
		kind, err := wire.Peek(msg)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "  %s", kind)
		switch kind {
		case wire.KindWelcome:
			m, err := wire.ParseWelcome(msg)
			fmt.Fprintf(&out, " credit=%d %v\n", m.Credit, err)
		case wire.KindAck:
			m, err := wire.ParseAck(msg)
			for _, rs := range m.Runs {
				fmt.Fprintf(&out, " %s..%d", strings.TrimRight(string(rs.Run[:]), "\x00"), rs.Seq)
			}
			fmt.Fprintf(&out, " %v\n", err)
		case wire.KindReject:
			m, err := wire.ParseReject(msg)
			fmt.Fprintf(&out, " %s %d %s %v\n", strings.TrimRight(string(m.Run[:]), "\x00"), m.Seq, m.Reason, err)
		case wire.KindCredit:
			m, err := wire.ParseCredit(msg)
			fmt.Fprintf(&out, " %d %v\n", m.Total, err)
		case wire.KindSettled:
			m, err := wire.ParseSettled(msg)
			for _, c := range m.IDs {
				fmt.Fprintf(&out, " %s", strings.TrimRight(string(c[:]), "\x00"))
			}
			fmt.Fprintf(&out, " %v\n", err)
		case wire.KindCommand:
			m, err := wire.ParseCommand(msg)
			fmt.Fprintf(&out, " %s remaining=%d %v\n", strings.TrimRight(string(m.ID[:]), "\x00"), m.Remaining, err)
		}
	}
	return strings.ReplaceAll(out.String(), " <nil>", "")
}
