package wire_test

import (
	"cmp"
	"slices"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Generators of messages. Numbers lean to the edges of their ranges by
// themselves.

func drawBytes(t *rapid.T, n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes")
}
func drawRun(t *rapid.T) id.Run   { return id.Run(drawBytes(t, 8)) }
func drawBoot(t *rapid.T) id.Boot { return id.Boot(drawBytes(t, 16)) }

func drawDevice(t *rapid.T) id.Device {
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`)
	return id.Device{Site: id.Site(label.Draw(t, "site")), Name: label.Draw(t, "name")}
}

func drawText(t *rapid.T, limit int) string {
	return rapid.StringN(0, limit/4, limit).Draw(t, "text")
}

func drawFrame(t *rapid.T) appender {
	m := &wire.Frame{
		Run: drawRun(t), Seq: rapid.Uint64Min(1).Draw(t, "seq"), Clk: rapid.Uint32Min(1).Draw(t, "clk"),
		T0: rapid.Int64().Draw(t, "t0"), Suppressed: rapid.Uint32().Draw(t, "suppressed"),
	}
	sid := uint32(0)
	for range rapid.IntRange(1, 5).Draw(t, "blocks") {
		sid += rapid.Uint32Range(1, 1<<28).Draw(t, "sid")
		m.Blocks = append(m.Blocks, wire.Block{
			SID: sid, N: rapid.IntRange(1, wire.MaxRows/5).Draw(t, "n"), DT0: rapid.Int64().Draw(t, "dt0"),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "columns"),
		})
	}
	return m
}

func drawGap(t *rapid.T) appender {
	a := rapid.Uint64Min(1).Draw(t, "a")
	return &wire.Gap{
		Run: drawRun(t), A: a, B: rapid.Uint64Min(a).Draw(t, "b"),
		Reason:   wire.GapReason(rapid.IntRange(1, 4).Draw(t, "reason")),
		Readings: rapid.Uint64().Draw(t, "readings"),
		TFirst:   rapid.Int64().Draw(t, "first"), TLast: rapid.Int64().Draw(t, "last"),
	}
}

func drawHello(t *rapid.T) appender {
	low := rapid.Uint64Min(1).Draw(t, "min")
	m := &wire.Hello{
		Min: low, Max: rapid.Uint64Min(low).Draw(t, "max"), Agent: drawText(t, wire.MaxText),
		Board: id.Board(drawBytes(t, 16)), Interval: rapid.Uint64().Draw(t, "interval"),
		Now: rapid.Uint64().Draw(t, "now"),
	}
	for range rapid.IntRange(1, 4).Draw(t, "boots") {
		m.Boots = append(m.Boots, drawBoot(t))
	}
	for range rapid.IntRange(0, 4).Draw(t, "runs") {
		last := rapid.Uint64Max(1<<63).Draw(t, "last")
		m.Runs = append(m.Runs, wire.RunInfo{
			Run: drawRun(t), Class: wire.Class(rapid.IntRange(1, 2).Draw(t, "class")),
			Boot:  rapid.IntRange(0, len(m.Boots)-1).Draw(t, "boot"),
			First: rapid.Uint64Range(1, last+1).Draw(t, "first"), Last: last,
			State: wire.RunState(rapid.IntRange(0, 2).Draw(t, "state")),
		})
	}
	return m
}

func drawWelcome(t *rapid.T) appender {
	return &wire.Welcome{
		Version: rapid.Uint64Min(1).Draw(t, "version"), Cluster: drawText(t, wire.MaxText),
		Node: drawText(t, wire.MaxText), Now: rapid.Uint64().Draw(t, "now"),
		Credit: rapid.Uint64().Draw(t, "credit"),
	}
}

func drawLane(t *rapid.T) appender {
	return &wire.LaneStart{Lane: wire.Lane(rapid.IntRange(1, 2).Draw(t, "lane"))}
}

func drawSchema(t *rapid.T) appender {
	body := drawBody(t)
	encoded := body.Append(nil)
	return &wire.Schema{
		Run: drawRun(t), SID: rapid.Uint32Min(1).Draw(t, "sid"), Device: drawDevice(t),
		Hash: wire.HashBody(encoded), Grid: rapid.Uint64().Draw(t, "grid"),
		Digest: [32]byte(drawBytes(t, 32)), Body: encoded,
	}
}

func drawBody(t *rapid.T) wire.Body {
	b := wire.Body{
		Profile: drawText(t, wire.MaxText), Version: rapid.Uint64().Draw(t, "version"),
		Tick: rapid.Uint64Range(1, 1<<63-1).Draw(t, "tick"),
	}
	points := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_]{0,20}`), 1, 5, rapid.ID[string]).Draw(t, "points")
	for _, p := range points {
		c := wire.Column{
			Point: id.Point(p), Unit: drawText(t, wire.MaxUnit),
			Kind:     wire.ColumnKind(rapid.IntRange(0, 4).Draw(t, "kind")),
			Mantissa: rapid.Uint64Min(1).Draw(t, "mantissa"),
			Exponent: rapid.IntRange(-wire.MaxExponent, wire.MaxExponent).Draw(t, "exponent"),
		}
		if c.Kind == wire.KindFloat || c.Kind == wire.KindText {
			c.Mantissa, c.Exponent = 1, 0
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func drawClock(t *rapid.T) appender {
	return &wire.Clock{
		Run: drawRun(t), Clk: rapid.Uint32Min(1).Draw(t, "clk"), Boot: drawBoot(t),
		UTC0: rapid.Int64().Draw(t, "utc0"), Uncertainty: rapid.Uint64().Draw(t, "uncertainty"),
		Source: wire.ClockSource(rapid.IntRange(0, 2).Draw(t, "source")),
	}
}

func drawBind(t *rapid.T) appender {
	var m wire.Bind
	for range rapid.IntRange(0, 4).Draw(t, "devices") {
		m.Devices = append(m.Devices, drawDevice(t))
	}
	return &m
}

func drawAck(t *rapid.T) appender {
	var m wire.Ack
	for range rapid.IntRange(1, 4).Draw(t, "runs") {
		m.Runs = append(m.Runs, wire.RunSeq{Run: drawRun(t), Seq: rapid.Uint64Min(1).Draw(t, "seq")})
	}
	return &m
}

func drawReject(t *rapid.T) appender {
	return &wire.Reject{
		Run: drawRun(t), Seq: rapid.Uint64Min(1).Draw(t, "seq"),
		Reason: wire.RejectReason(rapid.IntRange(1, 7).Draw(t, "reason")), Text: drawText(t, wire.MaxText),
	}
}

func drawCredit(t *rapid.T) appender { return &wire.Credit{Total: rapid.Uint64().Draw(t, "total")} }

func drawID(t *rapid.T) id.Command { return id.Command(drawBytes(t, 16)) }

func drawCommand(t *rapid.T) appender {
	return &wire.Command{
		ID: drawID(t), Device: drawDevice(t), Name: drawPoint(t),
		Remaining: rapid.Uint64Max(wire.MaxRemaining).Draw(t, "remaining"), Args: drawArgs(t),
	}
}

// drawArgs draws args by name, as they come back.
func drawArgs(t *rapid.T) (args []wire.Arg) {
	for range rapid.IntRange(0, 4).Draw(t, "args") {
		args = append(args, wire.Arg{Name: drawPoint(t), Value: drawValue(t)})
	}
	slices.SortFunc(args, func(a, b wire.Arg) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(args, func(a, b wire.Arg) bool { return a.Name == b.Name })
}

func drawPoint(t *rapid.T) string {
	return rapid.StringMatching(`[a-z][a-z0-9_]{0,20}`).Draw(t, "point")
}

func drawValue(t *rapid.T) wire.Value {
	if rapid.Bool().Draw(t, "boolean") {
		return wire.Value{Kind: wire.KindBoolean, Number: float64(rapid.IntRange(0, 1).Draw(t, "value"))}
	}
	return wire.Value{Kind: wire.KindNumber, Number: rapid.Float64().Draw(t, "value")}
}

func drawResult(t *rapid.T) appender {
	m := &wire.Result{
		ID: drawID(t), State: wire.ResultState(rapid.IntRange(1, 5).Draw(t, "state")),
		Ago: rapid.Uint64Max(wire.MaxAgo).Draw(t, "ago"), Text: drawText(t, wire.MaxText),
	}
	if m.State == wire.ResultDone {
		m.Confirmed = wire.Confirm(rapid.IntRange(0, 3).Draw(t, "confirmed"))
	}
	return m
}

func drawSettled(t *rapid.T) appender {
	var m wire.Settled
	for range rapid.IntRange(1, 4).Draw(t, "ids") {
		m.IDs = append(m.IDs, drawID(t))
	}
	return &m
}

func drawAddress(t *rapid.T) string {
	return rapid.StringMatching(`([a-z][a-z0-9.-]{0,20}|\[2001:db8::[1-9a-f]\]|10\.0\.0\.[1-9]):[1-9][0-9]{0,3}`).Draw(t, "address")
}

func drawNodes(t *rapid.T) appender {
	var m wire.Nodes
	for range rapid.IntRange(0, 4).Draw(t, "nodes") {
		m.Addresses = append(m.Addresses, drawAddress(t))
	}
	return &m
}

func drawRedirect(t *rapid.T) appender {
	return &wire.Redirect{Address: drawAddress(t), Reason: wire.RedirectOwner}
}

func drawLater(t *rapid.T) appender {
	return &wire.Later{Pause: rapid.Uint64Max(wire.MaxLater).Draw(t, "ms")}
}

func drawTime(t *rapid.T) appender {
	return &wire.Time{Question: rapid.Uint64().Draw(t, "question"), Now: rapid.Uint64().Draw(t, "now")}
}

func drawAskTime(t *rapid.T) appender {
	return &wire.AskTime{Question: rapid.Uint64().Draw(t, "question")}
}
