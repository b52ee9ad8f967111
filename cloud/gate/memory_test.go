package gate

import (
	"runtime"
	"testing"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// widest is a small frame of the most rows and columns, of series 1.
func widest(t *testing.T) (schema, frame []byte) {
	t.Helper()
	body := wire.Body{Profile: "test", Version: 1, Tick: 1_000_000}
	for i := range wire.MaxColumns {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point(rune('a'+i%26)) + id.Point(rune('a'+i/26)), Unit: "1", Mantissa: 1})
	}
	b := body.Append(nil)
	s := wire.Schema{Run: runNamed("a"), SID: 1, Device: id.Device{Site: "hq", Name: "c1"}, Hash: wire.HashBody(b), Grid: 10, Body: b}
	var rows wire.Rows
	for i := range wire.MaxRows {
		rows.Append(int64(i)*10, 0, make([]int64, wire.MaxColumns))
	}
	f := wire.Frame{Run: runNamed("a"), Seq: 1, Clk: 1, Blocks: []wire.Block{{SID: 1, N: wire.MaxRows, Data: wire.AppendColumns(nil, &rows, 10)}}}
	return s.Append(nil), f.Append(nil)
}

// I5: what a frame takes while it is decoded is given back; 10,000 gateways
// that each once sent a wide frame must not hold 17 MB each.
func TestAConnectionKeepsNoMemoryOfTheFramesThatItDecoded(t *testing.T) {
	schema, frame := widest(t)
	if len(frame) > 1000 {
		t.Fatalf("the frame has %d bytes: it is meant to be cheap for who sends it", len(frame))
	}
	const connections, most = 10, 32 << 20
	memory := new(scratches)
	var open []*session
	before := heap()
	for range connections {
		s := newSession(id.Gateway{Site: "hq", Name: "gw"}, func(id.Run) bool { return true }, memory)
		greet(t, s)
		for _, msg := range [][]byte{schema, testClock("a", 1, 100), frame} {
			if v, err := s.lane(msg); err != nil || v.ticket == 0 {
				t.Fatalf("%+v, %v", v, err)
			}
		}
		open = append(open, s)
	}
	if after := heap(); after > before+most {
		t.Errorf("%d idle connections hold %d MiB", connections, (after-before)>>20)
	}
	runtime.KeepAlive(open)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the second frees what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// greet brings a session to its first lane message.
func greet(t *testing.T, s *session) {
	t.Helper()
	if _, err := s.control(testHello(wire.RunInfo{Run: runNamed("a"), Class: 1, First: 1})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.control((&wire.Bind{}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	s.durable(1)
	s.durable(2)
	s.credit(0)
	if _, err := s.laneStart((&wire.LaneStart{Lane: wire.LaneLive}).Append(nil)); err != nil {
		t.Fatal(err)
	}
}
