// Package verify compares what counter chips delivered with what the cloud
// holds, and says of every reading whether it arrived, is accounted for by a
// gap or a crash, or is lost, doubled or out of order. It is pure: it fetches
// nothing and changes nothing. The truth, the history, the ledger, the twins
// and the runs come in; a Report goes out.
//
// A counter chip's value is the number of its conversion, so that a device's
// readings are 1, 2, 3... and each has exactly one right place. The truth is
// written by the boards, which know nothing about Atrium.
package verify

import (
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// Input is everything that is compared. Order within the slices does not
// matter, except Runs.
type Input struct {
	// Truth is what the boards delivered, one Sample per reading. Only devices
	// that it names are compared. Nil means that there is no truth: then holes
	// in a device's numbers are what can be seen, and all devices are compared.
	Truth    []Sample
	Readings []Reading
	Ledger   []Entry
	Twins    []Twin
	// Runs are those of each gateway, the live ones oldest first. Runs that are not
	// among them, as they were retired long ago, are known by their readings and
	// the ledger.
	Runs []Run
}

// Reading is one row of a counter point in the history.
type Reading struct {
	Device id.Device
	Run    id.Run
	Seq    uint64        // the frame that carried it
	Tick   time.Duration // sample time since the gateway's boot
	Time   time.Time     // sample time in UTC
	Value  int64
	Bad    bool // the read failed and Value only repeats: not a reading
}

// Entry is one range of a gateway's gap ledger.
type Entry struct {
	Gateway  id.Gateway
	Run      id.Run
	Boot     id.Boot
	A, B     uint64 // sequences, inclusive; without a meaning for Crash. B is 0 where the end is open
	Cause    Cause
	Readings uint64        // of all the gateway's devices
	From, To time.Duration // sample times since the boot, of gap frames
	Interval time.Duration // the commit interval, of Crash
	Found    time.Time     // when the cloud wrote the entry
}

// Cause says why a range has no readings.
type Cause uint8

const (
	// Declared ranges were given up by the gateway in a gap frame: quota,
	// rejected, corrupt.
	Declared Cause = iota + 1
	// Crash is the open end of a run whose process died: readings younger than
	// the commit interval.
	Crash
	// Remainder ranges are what nobody can count: what a gateway still held that
	// lost its state, and what was acked to a cloud that lost its own.
	Remainder
	// Missing ranges were found by the cloud and never declared: they explain
	// nothing, and their readings are lost.
	Missing
)

// Twin is the value that a device's twin reports.
type Twin struct {
	Device id.Device
	Value  int64
	Run    id.Run
	Seq    uint64
}

// Run tells which gateway and boot a run belongs to. A zero boot is unknown, and
// so is when a retired one began.
type Run struct {
	Run     id.Run
	Gateway id.Gateway
	Boot    id.Boot
	Retired bool
}

// commitSlack is how much later than its interval a commit may be done: the
// linger of a cut and one fsync that is under way before it.
const commitSlack = 500 * time.Millisecond

// maxInterval bounds what is believed of a commit interval: a gateway may say
// anything.
const maxInterval = 24 * time.Hour

// Compare makes the report.
func Compare(in Input) Report {
	c := newComparison(in)
	for _, dev := range c.devices {
		c.device(dev)
	}
	c.displaced(in.Readings)
	c.twins(in.Twins)
	if r := &c.report; r.HasTruth && r.Sampled != r.Readings+r.Gaps+r.Uncommitted+r.Remainder+r.Lost {
		c.find(Finding{Kind: FindingSum, Text: "sampled is not readings + gaps + uncommitted + remainder + lost"})
	}
	return c.report
}

// comparison is the state of one Compare.
type comparison struct {
	report   Report
	devices  []id.Device // sorted
	truth    map[id.Device]map[int64]int
	readings map[id.Device][]Reading
	runs     map[id.Run]Run
	order    map[id.Run]int
	gaps     []entry
	crashes  []entry
	rests    []entry               // remainders
	highest  map[id.Device]Reading // by value
}

// entry is a ledger entry with the readings that it can still explain.
type entry struct {
	Entry
	left uint64
	// empty is a crash of a run of which the history holds nothing. Nobody knows
	// where among the others it ran, as it may be found long after those that
	// followed it; it cost one place of each device.
	empty bool
	spent bool // by the device that is compared
}

// device compares one device's truth with its history.
func (c *comparison) device(dev id.Device) {
	rows := distinct(c.readings[dev])
	c.report.Duplicated += len(c.readings[dev]) - len(rows)
	for _, r := range repeated(c.readings[dev]) {
		c.find(reading(FindingDuplicated, r, "the history returned the row twice"))
	}
	c.reordered(rows)
	c.contradicted(rows)

	for i := range c.crashes {
		c.crashes[i].spent = false
	}
	present := c.present(dev, rows)
	holes := c.holes(dev, present)
	for i := range holes {
		c.explain(dev, &holes[i], present)
	}
	if len(present) > 0 {
		c.highest[dev] = present[len(present)-1]
	}
}

// present returns the readings that the truth confirms, by value, and counts
// those that it does not.
func (c *comparison) present(dev id.Device, rows []Reading) []Reading {
	byValue := sortedByValue(rows)
	kept := byValue[:0:0]
	held := make(map[int64]int, len(rows))
	for _, r := range byValue {
		held[r.Value]++
		allowed := 1
		if c.report.HasTruth {
			allowed = c.truth[dev][r.Value]
		}
		switch {
		case allowed == 0:
			c.report.Unexpected++
			c.find(reading(FindingUnexpected, r, "the device never delivered it"))
		case held[r.Value] > allowed:
			c.report.Duplicated++
			c.find(reading(FindingDuplicated, r, "also in an earlier row"))
		default:
			kept = append(kept, r)
		}
	}
	c.report.Readings += len(kept)
	c.report.Sampled += c.sampled(dev, kept)
	return kept
}

// sampled is the number of readings that a device delivered: by the truth, or
// else by its own numbers.
func (c *comparison) sampled(dev id.Device, present []Reading) int {
	if !c.report.HasTruth {
		if len(present) == 0 {
			return 0
		}
		return int(present[len(present)-1].Value - present[0].Value + 1)
	}
	n := 0
	for _, count := range c.truth[dev] {
		n += count
	}
	return n
}

// twins checks that each twin shows the highest number of its device.
func (c *comparison) twins(twins []Twin) {
	reported := make(map[id.Device]Twin, len(twins))
	for _, t := range twins {
		reported[t.Device] = t
	}
	for _, dev := range c.devices {
		top, ok := c.highest[dev]
		if !ok {
			continue
		}
		t, has := reported[dev]
		switch {
		case !has:
			c.report.Reordered++
			c.find(reading(FindingTwin, top, "the device has no twin"))
		case t.Value != top.Value:
			c.report.Reordered++
			c.find(Finding{Kind: FindingTwin, Device: dev, Run: t.Run, Seq: t.Seq, Value: t.Value, Text: "the twin is not at the highest number of the history, " + itoa(top.Value)})
		}
	}
}
