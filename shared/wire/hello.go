package wire

import "github.com/atrium-iot/atrium/shared/id"

// Hello opens a connection: who the gateway is made of, and what it holds.
type Hello struct {
	Min, Max uint64 // the protocol versions that the gateway speaks
	Agent    string // program and version, for people
	Board    id.Board
	Interval uint64    // the commit interval in ms: what a crash may leave uncommitted
	Now      uint64    // ms since boot
	Boots    []id.Boot // in local order, oldest first
	Runs     []RunInfo
}

// RunInfo is what a gateway holds of a run; nothing if First is above Last and
// the run is not open.
type RunInfo struct {
	Run   id.Run
	Class Class
	Boot  int    // index in Hello.Boots
	First uint64 // lowest sequence without an ack: nothing below is held any more
	Last  uint64 // highest committed sequence, of a closed run its end; 0 when there is none
	State RunState
}

const (
	helloItems   = 10
	runInfoItems = 6
)

// Append writes the message.
func (m *Hello) Append(dst []byte) []byte {
	dst = appendStart(dst, helloItems, KindHello)
	dst = appendUint(dst, m.Min)
	dst = appendUint(dst, m.Max)
	dst = appendText(dst, m.Agent)
	dst = appendBytes(dst, m.Board[:])
	dst = appendUint(dst, m.Interval)
	dst = appendUint(dst, m.Now)
	dst = appendArray(dst, len(m.Boots))
	for i := range m.Boots {
		dst = appendBytes(dst, m.Boots[i][:])
	}
	dst = appendArray(dst, len(m.Runs))
	for i := range m.Runs {
		r := &m.Runs[i]
		dst = appendArray(dst, runInfoItems)
		dst = appendBytes(dst, r.Run[:])
		dst = appendUint(dst, uint64(r.Class))
		dst = appendUint(dst, uint64(r.Boot))
		dst = appendUint(dst, r.First)
		dst = appendUint(dst, r.Last)
		dst = appendUint(dst, uint64(r.State))
	}
	return dst
}

// ParseHello reads what Append wrote. It ignores further items at the end,
// which a later version may have: hello comes before the versions are agreed.
func ParseHello(b []byte) (Hello, error) {
	var m Hello
	c, items := openAny(b, KindHello)
	if c.err == nil && items < helloItems {
		c.fail(RejectMalformed, "message", "has %d items, want at least %d", items, helloItems)
	}
	m.Min = c.uintIn("min", 1, maxUint64)
	m.Max = c.uintIn("max", m.Min, maxUint64)
	m.Agent = c.text("agent", MaxText)
	c.fixed("board", m.Board[:])
	m.Interval = c.uint("interval")
	m.Now = c.uint("now")
	if n := c.array("boots", 1, MaxBoots); n > 0 {
		m.Boots = make([]id.Boot, n)
		for i := range m.Boots {
			c.fixed("boot", m.Boots[i][:])
		}
	}
	if n := c.array("runs", 0, MaxRuns); n > 0 {
		m.Runs = make([]RunInfo, n)
		for i := range m.Runs {
			m.Runs[i] = c.runInfo(len(m.Boots))
		}
	}
	for i := uint64(helloItems); i < items && c.err == nil; i++ {
		c.skip("later item", skipDepth)
	}
	if err := c.end(); err != nil {
		return Hello{}, err
	}
	return m, nil
}

func (c *cursor) runInfo(boots int) (r RunInfo) {
	c.tuple("run-info", runInfoItems)
	c.fixed("run", r.Run[:])
	r.Class = Class(c.uintIn("class", uint64(Telemetry), uint64(Events)))
	r.Boot = int(c.uintIn("boot-index", 0, uint64(max(boots, 1)-1)))
	r.First = c.uintIn("first", 1, maxUint64)
	r.Last = c.uint("last")
	r.State = RunState(c.uintIn("state", uint64(RunOpen), uint64(RunUnclean)))
	return r
}
