package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

type historyInput struct {
	DevicePath
	Point string `query:"point" required:"true" maxLength:"63" doc:"The point's name."`
	Span
	Raw   bool   `query:"raw" doc:"Also each reading's identity and raw value."`
	After string `query:"after" maxLength:"200" doc:"The 'next' of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"The most readings of the page."`
}

// Span is a span of time.
type Span struct {
	Since string `query:"since" maxLength:"64" doc:"RFC 3339, or a duration before now such as 10m. Default: everything." example:"10m"`
	Until string `query:"until" maxLength:"64" doc:"As since, exclusive. Default: everything."`
}

func (s *Span) parse(now time.Time) (since, until time.Time, err error) {
	if since, err = parseTime(s.Since, now, time.Unix(math.MinInt64/1_000_000, 0)); err != nil {
		return since, until, badParameter("query.since", s.Since, err)
	}
	if until, err = parseTime(s.Until, now, forever()); err != nil {
		return since, until, badParameter("query.until", s.Until, err)
	}
	if until.Before(since) {
		return since, until, badParameter("query.until", s.Until, errors.New("is before since"))
	}
	return since, until, nil
}

// forever is later than any time that microseconds in 64 bits can hold.
func forever() time.Time { return time.Unix(math.MaxInt64/1_000_000, 0) }

func (s *server) history(ctx context.Context, in *historyInput) (*body[client.Page[client.Reading]], error) {
	dev, err := parseDevice(in.Site, in.Device)
	if err != nil {
		return nil, err
	}
	q, err := parseHistory(in, time.Now())
	if err != nil {
		return nil, err
	}
	incomplete, err := s.incomplete(ctx, dev.Site)
	if err != nil {
		return nil, err
	}
	if err := s.hasPoint(dev, q.point, in.Point); err != nil && !incomplete {
		return nil, err
	}
	out := client.Page[client.Reading]{Items: []client.Reading{}, Incomplete: incomplete}
	var last history.Reading
	looked := 0
	for r, err := range s.store.Read(ctx, dev, q.point, q.since, q.until, 0) {
		if err != nil {
			return nil, answered(err, "history of "+dev.String(), "/v1/sites/"+in.Site+"/devices")
		}
		looked++
		if q.after.covers(r) {
			continue
		}
		if len(out.Items) == in.Limit {
			out.Next = cursorOf(last).String()
			break
		}
		out.Items, last = append(out.Items, readingOf(r, in.Raw)), r
	}
	if looked == history.MaxReadings && out.Next == "" { // the read was cut, not at its end
		if len(out.Items) == 0 {
			return nil, answered(fmt.Errorf("more than %d readings at %s", looked, q.since.UTC().Format(time.RFC3339Nano)), "history of "+dev.String(), "")
		}
		out.Next = cursorOf(last).String()
	}
	return ok(out), nil
}

// incomplete reports whether this node's history lacks what others stored of a
// site. It is asked before history is read: what is filled in meanwhile may be
// missing in the answer.
func (s *server) incomplete(ctx context.Context, site id.Site) (bool, error) {
	shard, err := s.views.ShardOf(ctx, site)
	if errors.Is(err, ErrNotFound) {
		return false, nil // of no shard: nothing is stored
	}
	if err != nil {
		return false, answered(err, "shard of site "+string(site), "/v1/sites")
	}
	return s.store.Lacks(site, shard), nil
}

// hasPoint tells a point that never was from one without readings in a range.
func (s *server) hasPoint(dev id.Device, point id.Point, name string) error {
	list := "/v1/sites/" + string(dev.Site) + "/devices"
	all, err := s.store.Series(dev)
	if err != nil {
		return answered(err, "history of "+dev.String(), list)
	}
	if len(all) == 0 {
		return answered(ErrNotFound, "history of device "+dev.String(), list)
	}
	for _, series := range all {
		for _, c := range series.Body.Columns {
			if c.Point == point {
				return nil
			}
		}
	}
	return answered(ErrNotFound, fmt.Sprintf("point %q of device %s", name, dev), list+"/"+dev.Name)
}

// historyQuery is a historyInput that was understood.
type historyQuery struct {
	point        id.Point
	since, until time.Time
	after        cursor
}

func parseHistory(in *historyInput, now time.Time) (q historyQuery, err error) {
	if q.point, err = id.ParsePoint(in.Point); err != nil {
		return q, badParameter("query.point", in.Point, err)
	}
	if q.since, q.until, err = in.Span.parse(now); err != nil {
		return q, err
	}
	if in.After != "" {
		if q.after, err = parseCursor(in.After); err != nil {
			return q, badParameter("query.after", in.After, err)
		}
		if from := time.UnixMicro(q.after.micros); from.After(q.since) {
			q.since = from
		}
	}
	return q, nil
}

func parseTime(s string, now, none time.Time) (time.Time, error) {
	if s == "" {
		return none, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, errors.New("want a time such as 2026-01-31T12:00:00Z or a duration before now such as 10m")
}

func readingOf(r history.Reading, raw bool) client.Reading {
	out := client.Reading{Time: r.Time.UTC(), Quality: r.Quality.String(), Clock: r.Source.String()}
	switch {
	case r.Quality == wire.Bad:
	case r.Text != nil:
		out.Text = r.Text
	default:
		out.Value = &r.Value
	}
	if raw {
		out.Raw, out.Run, out.Seq, out.SID, out.Row, out.TickNS, out.ReceivedAt = r.Raw, r.Run.String(), r.Seq, r.SID, r.Row, r.Tick, r.Received.UTC()
	}
	return out
}

// cursor is the place of a reading in the order of history: time, run,
// sequence, sid, row. The zero cursor is before all.
type cursor struct {
	set    bool
	micros int64
	run    id.Run
	seq    uint64
	sid    uint32
	row    int
}

func cursorOf(r history.Reading) cursor {
	return cursor{true, r.Time.UnixMicro(), r.Run, r.Seq, r.SID, r.Row}
}

func (c cursor) String() string {
	return fmt.Sprintf("%d.%s.%d.%d.%d", c.micros, c.run, c.seq, c.sid, c.row)
}

func parseCursor(s string) (cursor, error) {
	c := cursor{set: true}
	var run []byte
	_, err := fmt.Sscanf(s, "%d.%16x.%d.%d.%d", &c.micros, &run, &c.seq, &c.sid, &c.row)
	if err == nil && len(run) == len(c.run) {
		copy(c.run[:], run)
	}
	if err != nil || c.String() != s {
		return cursor{}, errors.New("want the 'next' of the page before")
	}
	return c, nil
}

// covers reports whether r is at the cursor or before it.
func (c cursor) covers(r history.Reading) bool {
	if !c.set {
		return false
	}
	switch us := r.Time.UnixMicro(); {
	case us != c.micros:
		return us < c.micros
	case r.Run != c.run:
		return slices.Compare(r.Run[:], c.run[:]) < 0
	case r.Seq != c.seq:
		return r.Seq < c.seq
	case r.SID != c.sid:
		return r.SID < c.sid
	}
	return r.Row <= c.row
}
