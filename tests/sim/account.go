package sim

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// blockKey is the identity of a frame's block.
type blockKey struct {
	run id.Run
	seq uint64
	sid uint32
}

// account is what the logs give when the rule of runs is applied to them once
// more, in the plainest way: a frame or gap below its run's next is a duplicate,
// any other moves next.
type account struct {
	next       map[id.Run]uint64
	blocks     map[blockKey][]byte
	frames     map[frameKey][]byte
	gaps       map[frameKey]wire.Gap // by their last sequence
	counts     map[string]*site.Count
	duplicates int
	disowned   map[frameKey]history.Reason
}

// accountOf goes through logs. What is disowned came, and too late to count.
func accountOf(logs [][]journal.Message, disowned map[frameKey]history.Reason) *account {
	a := &account{
		disowned: disowned,
		next:     map[id.Run]uint64{}, blocks: map[blockKey][]byte{}, frames: map[frameKey][]byte{},
		gaps: map[frameKey]wire.Gap{}, counts: map[string]*site.Count{},
	}
	for _, log := range logs {
		for _, m := range log {
			for i := range m.Records {
				a.record(&m.Records[i])
			}
		}
	}
	return a
}

func (a *account) record(rec *journal.Record) {
	if rec.Kind == journal.KindHello {
		a.hello(rec)
	}
	if rec.Kind != journal.KindFrame && rec.Kind != journal.KindGap {
		return
	}
	run, first, last, err := wire.PeekSeq(rec.Body)
	if err != nil {
		return
	}
	c := a.counts[rec.Origin]
	if c == nil {
		c = &site.Count{}
		a.counts[rec.Origin] = c
	}
	next := max(a.next[run], 1)
	if last < next {
		a.duplicates++
		c.Duplicates++
		return
	}
	if a.disowned[frameKey{run, last}] == history.Missing {
		a.duplicates++
		c.Duplicates++
		return
	}
	a.next[run] = last + 1
	if a.disowned[frameKey{run, last}] == history.Late {
		return
	}
	if rec.Kind == journal.KindGap {
		c.Gaps += last - max(first, next) + 1
		if g, err := wire.ParseGap(rec.Body); err == nil {
			a.gaps[frameKey{run, last}] = g
		}
		return
	}
	a.frames[frameKey{run, last}] = rec.Body
	if f, err := wire.ParseFrame(rec.Body); err == nil {
		c.Frames++
		c.Suppressed += uint64(f.Suppressed)
		for _, b := range f.Blocks {
			a.blocks[blockKey{run, f.Seq, b.SID}] = b.Data
		}
	}
}

// hello moves runs to what their gateway still holds.
func (a *account) hello(rec *journal.Record) {
	m, err := wire.ParseHello(rec.Body)
	if err != nil {
		return
	}
	for _, r := range m.Runs {
		a.next[r.Run] = max(a.next[r.Run], r.First)
	}
}

// checkAccount compares what the logs give with history, block for block, with
// what the owners counted, and with the gateways' books.
func (s *Sim) checkAccount(ctx context.Context, tally *Tally) {
	_, logs := s.tap.known()
	rows, ledger := s.cloud.history.all()
	a := accountOf(logs, s.disowned(ledger))
	tally.Duplicates = a.duplicates
	s.compareRows(a, rows)
	s.compareCounts(ctx, a)
	ranges := map[id.Run][]span{}
	for i := range ledger {
		e := &ledger[i]
		if e.A > 0 {
			ranges[e.Run] = append(ranges[e.Run], span{e.A, e.B, e.Reason.String(), e.Reason})
		}
		s.compareGap(a, e)
		if e.Reason == history.Quota {
			tally.Quota++
		}
	}
	for at := range a.frames {
		ranges[at.run] = append(ranges[at.run], span{at.seq, at.seq, "history", 0})
	}
	for run, spans := range ranges {
		s.checkDense(run, spans)
	}
	s.checkRemainders(ledger)
	s.checkTwins(ledger)
	s.compareBooks(a, ranges, ledger)
}

func (s *Sim) compareRows(a *account, rows []history.Row) {
	for _, r := range rows {
		key := blockKey{r.Run, r.Seq, r.SID}
		data, ok := a.blocks[key]
		if !ok {
			s.trace.complain("I1", "history holds run %s, seq %d, sid %d, which the log does not, or twice", r.Run, r.Seq, r.SID)
		} else if !bytes.Equal(data, r.Data) {
			s.trace.complain("I1", "history holds other bytes than the log of run %s, seq %d, sid %d", r.Run, r.Seq, r.SID)
		}
		delete(a.blocks, key)
	}
	for key := range a.blocks {
		s.trace.complain("I1", "history lacks run %s, seq %d, sid %d of the log", key.run, key.seq, key.sid)
	}
}

// compareCounts demands that owners applied each frame once and counted the
// others as what they are: history alone does not tell, as it is written by
// key.
func (s *Sim) compareCounts(ctx context.Context, a *account) {
	for _, name := range s.names() {
		all, err := askOwner(ctx, s.cloud, name, func(x *site.Shard) ([]site.Gateway, error) { return x.Gateways(ctx, name) })
		if err != nil {
			s.trace.complain("I1", "the gateways of %s: %v", name, err)
		}
		for _, g := range all {
			want := a.counts[g.Gateway.String()]
			if want == nil {
				want = &site.Count{}
			}
			got := site.Count{Frames: g.Count.Frames, Suppressed: g.Count.Suppressed, Duplicates: g.Count.Duplicates, Gaps: g.Count.Gaps}
			if got != *want {
				s.trace.complain("I1", "the owner counts of %s %+v, its log gives %+v", g.Gateway, got, *want)
			}
		}
	}
}

// compareGap holds a range that a gateway declared against the frames that were
// in it: its readings are theirs, and more if some of them came after all.
func (s *Sim) compareGap(a *account, e *history.Entry) {
	if e.Reason >= history.Missing || e.B == 0 {
		return
	}
	g, ok := a.gaps[frameKey{e.Run, e.B}]
	if !ok {
		s.trace.complain("I1", "the ledger has %s of run %s, %d..%d, and the log no such gap", e.Reason, e.Run, e.A, e.B)
		return
	}
	n, whole := s.books.readings(e.Run, e.A, e.B)
	if whole && (e.Readings < n || e.Readings > n && g.A == e.A) {
		s.trace.complain("I1", "the ledger has %s of run %s, %d..%d, with %d readings, its frames held %d", e.Reason, e.Run, e.A, e.B, e.Readings, n)
	}
}

// span is a range of sequences of a run, both ends counted; b is 0 for an open
// end.
type span struct {
	a, b   uint64
	what   string
	reason history.Reason // 0: the frame is in history
}

// checkDense demands that a run's sequences are in history or in one range of
// the ledger, from 1 to its end (I1).
func (s *Sim) checkDense(run id.Run, spans []span) {
	slices.SortFunc(spans, func(x, y span) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
	next, open := uint64(1), false
	for _, x := range spans {
		switch {
		case open && givenUp(x.reason) && s.lossOf(run) != nil && x.a >= next: // another board went on
		case open:
			s.trace.complain("I1", "run %s: %s at %d is behind the run's end", run, x.what, x.a)
		case x.a > next:
			s.trace.complain("I1", "run %s: sequences %d..%d are in no range", run, next, x.a-1)
		case x.a < next:
			s.trace.complain("I1", "run %s: %s at %d..%d covers what something else holds", run, x.what, x.a, x.b)
		}
		if x.b == 0 {
			open = true
			continue
		}
		next = max(next, x.b+1)
	}
}

// compareBooks demands of each frame that was committed that it is in the log
// as its gateway made it, or in a range that may take it: a crash takes what
// was not committed, and a disaster what was not acked.
func (s *Sim) compareBooks(a *account, ranges map[id.Run][]span, ledger []history.Entry) {
	for at, committed := range s.books.committed() {
		body, came := a.frames[at]
		if came && !bytes.Equal(body, s.books.frames[at].body) {
			s.trace.complain("I1", "run %s seq %d: the log has other bytes than its gateway made", at.run, at.seq)
		}
		if !came && committed && !s.accounted(at, ranges[at.run], ledger) {
			s.trace.complain("I1", "run %s seq %d was committed, and is in neither the log nor a range of the ledger", at.run, at.seq)
		}
	}
}

// accounted says whether a frame that did not come is in a range that may take
// it, or in a run that was gone with its gateway's card before a hello named it.
func (s *Sim) accounted(at frameKey, spans []span, ledger []history.Entry) bool {
	struck := s.struck(at)
	if slices.ContainsFunc(spans, func(x span) bool {
		return x.a <= at.seq && (at.seq <= x.b || x.b == 0) && (struck || x.reason != history.Crash && !givenUp(x.reason))
	}) {
		return true
	}
	return struck && len(spans) == 0 && !s.tap.named(at.run) && s.leftOpen(s.books.began(at.run).gw, ledger)
}
