package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// check compares, at the end, the chips' truth with history, ledger and twins,
// and history with what the log says on its own.
func (s *Sim) check(ctx context.Context, tally *Tally) verify.Report {
	in, err := s.evidence(ctx, tally)
	if err != nil {
		s.trace.complain("I1", "the evidence cannot be read: %v", err)
	}
	report := verify.Compare(in)
	for _, f := range report.Findings {
		s.trace.complain("I1", "%s", f)
	}
	s.checkAccount(ctx, tally)
	s.checkEvents(tally)
	s.count(ctx, tally)
	s.checkCommands(ctx, tally)
	s.checkWindows(tally)
	s.checkSites(ctx)
	for at, d := range s.cloud.history.dead {
		if strings.HasPrefix(d.Reason, "late: ") && s.cloned(d.Origin) {
			continue
		}
		s.trace.complain("I6", "dead letter of %s at %+v: %s", d.Origin, at, d.Reason)
	}
	return report
}

func (s *Sim) count(ctx context.Context, tally *Tally) {
	for i := range s.plan.Cloud.Shards {
		if first, _, err := s.cloud.mem.Log(i).Bounds(ctx); err == nil {
			tally.Purged += int(first - 1)
		}
	}
	for _, g := range s.gateways {
		tally.Agents += g.starts()
		tally.Withheld += g.board.heldBack()
		tally.Thinned += int(g.board.thin)
	}
	tally.Nodes, tally.Refused, tally.Redirects = s.cloud.starts()
	tally.Shared = s.tap.sharedRuns()
	tally.Epochs, tally.Deaths = s.tap.epochs(), s.cloud.deaths.count()
	tally.Rebinds, tally.TCP = s.net.counts()
}

// evidence gathers what atrium verify would fetch.
func (s *Sim) evidence(ctx context.Context, tally *Tally) (verify.Input, error) {
	in := verify.Input{Truth: []verify.Sample{}}
	zeros := map[id.Boot]time.Time{}
	for _, g := range s.gateways {
		in.Truth = append(in.Truth, g.board.samples()...)
		for boot, zero := range g.boots {
			zeros[boot] = zero
		}
	}
	runs, _ := s.tap.known()
	boots := map[id.Run]time.Time{}
	for _, r := range runs {
		boots[r.run] = zeros[r.boot]
		in.Runs = append(in.Runs, verify.Run{Run: r.run, Gateway: r.gateway, Boot: r.boot})
	}
	rows, ledger := s.cloud.history.all()
	for i := range rows {
		s.checkTime(&rows[i], boots[rows[i].Run], tally)
		readings, err := s.readings(&rows[i], boots[rows[i].Run])
		if err != nil {
			return in, err
		}
		in.Readings = append(in.Readings, readings...)
	}
	for _, e := range ledger {
		if e.Reason != history.IdentityTwice {
			entry := entryOf(e)
			if s.lossOf(e.Run) != nil && (givenUp(e.Reason) || e.Reason == history.Crash) {
				entry.Cause = verify.Remainder // what was committed is gone, too
			}
			in.Ledger = append(in.Ledger, entry)
		}
	}
	for _, name := range s.names() {
		devices, err := s.cloud.devices(ctx, name)
		if err != nil {
			return in, err
		}
		for _, d := range devices {
			for _, p := range d.Points {
				if p.Held && p.Kind != wire.KindText {
					in.Twins = append(in.Twins, verify.Twin{Device: d.Device, Value: p.Raw, Run: p.Run, Seq: p.Order.Seq})
				}
			}
		}
	}
	return in, nil
}

// checkTime demands of a row whose clock its gateway does not vouch for that the
// cloud does not claim to know its time better than it does.
func (s *Sim) checkTime(r *history.Row, zero time.Time, tally *Tally) {
	if r.Source == wire.ClockSystem {
		return
	}
	tally.Unvouched++
	if off := time.UnixMicro(r.UTC0).Sub(zero).Abs(); uint64(off.Microseconds()) > r.Uncertainty {
		s.trace.complain("clock", "row of %s, run %s, seq %d: its time is off by %s, within %d us is claimed", r.Device, r.Run, r.Seq, off, r.Uncertainty)
	}
}

// readings decodes a row. Its time is the true one of the boot: the gateways'
// clocks are wrong on purpose.
func (s *Sim) readings(r *history.Row, zero time.Time) ([]verify.Reading, error) {
	body, err := wire.ParseBody(s.cloud.history.series[seriesKey{r.Device, r.Schema}])
	if err != nil {
		return nil, fmt.Errorf("series of %s: %w", r.Device, err)
	}
	if body.Columns[0].Kind == wire.KindText {
		return nil, nil // a device's health (told.go): not a number of a counter
	}
	var rows wire.Rows
	if err := wire.ParseColumns(r.Data, r.N, wire.ShapeOf(body.Columns), r.Grid, r.First, &rows); err != nil {
		return nil, fmt.Errorf("row of %s, run %s, seq %d: %w", r.Device, r.Run, r.Seq, err)
	}
	var all []verify.Reading
	for i := range rows.T {
		tick := time.Duration(rows.T[i]) * time.Duration(body.Tick)
		all = append(all, verify.Reading{
			Device: r.Device, Run: r.Run, Seq: r.Seq, Tick: tick, Time: zero.Add(tick),
			Value: rows.V[0][i], Bad: wire.QualityOf(rows.Q[i], 0) == wire.Bad,
		})
	}
	return all, nil
}

// entryOf reads a ledger entry as the verify client does.
func entryOf(e history.Entry) verify.Entry {
	out := verify.Entry{
		Gateway: id.Gateway{Site: e.Site, Name: e.Gateway}, Run: e.Run, Boot: e.Boot, A: e.A, B: e.B, Cause: verify.Missing, Readings: e.Readings,
		From: time.Duration(e.TFirst) * time.Millisecond, To: time.Duration(e.TLast) * time.Millisecond,
		Interval: time.Duration(e.Interval) * time.Millisecond, Found: time.UnixMicro(e.Time),
	}
	switch {
	case e.Reason == history.Crash && e.B == 0:
		out.Cause = verify.Crash
	case e.Reason < 16: // the wire's reasons: a gateway declared the gap
		out.Cause = verify.Declared
	case e.Reason == history.UnknownRemainder:
		out.Cause = verify.Remainder
	}
	return out
}
