// Package history_test measures cloud/history: how fast blocks go in with
// their fsync, and how long a day of one point at 10 s takes to read.
package history_test

import (
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const tickNanos = 1_000_000

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func store(b *testing.B) (*history.Store, string) {
	b.Helper()
	dir := b.TempDir()
	s, err := history.Open(history.Config{Dir: dir}, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		b.Fatal(err)
	}
	return s, dir
}

// device is one of the fleet with five points.
func device(n int) history.Series {
	body := wire.Body{Profile: "bench", Version: 1, Tick: tickNanos}
	for _, p := range []id.Point{"temperature", "humidity", "pressure", "count", "open"} {
		body.Columns = append(body.Columns, wire.Column{Point: p, Unit: "1", Mantissa: 1, Exponent: -2})
	}
	enc := body.Append(nil)
	return history.Series{Device: id.Device{Site: "hq", Name: "d" + string(rune('a'+n/26%26)) + string(rune('a'+n%26))}, Schema: wire.HashBody(enc), Body: enc}
}

// block is n rows from tick first on, a step apart, that change as a room does.
func block(s history.Series, seq uint64, first, step int64, n int) history.Row {
	var rows wire.Rows
	for i := range int64(n) {
		t := first + i*step
		rows.Append(t, 0, []int64{2100 + t/step%7, 4500 - t/step%11, 101300 + t/step%3, t / step, 0})
	}
	last := first + int64(n-1)*step
	return history.Row{
		Device: s.Device, Schema: s.Schema, Run: id.Run{1}, Seq: seq, SID: 1, UTC0: epoch.UnixMicro(), Grid: uint64(step),
		N: n, First: first, From: epoch.UnixMicro() + first*1000, To: epoch.UnixMicro() + last*1000, Data: wire.AppendColumns(nil, &rows, uint64(step)),
	}
}

// BenchmarkWrite stores 20 devices with 5 points in blocks of 50 rows, one
// Write (one fsync) a batch of blocks.
func BenchmarkWrite(b *testing.B) {
	for _, f := range []struct {
		name   string
		blocks int
	}{{"blocks=1", 1}, {"blocks=20", 20}, {"blocks=1000", 1000}} {
		b.Run(f.name, func(b *testing.B) {
			s, dir := store(b)
			const rows, points = 50, 5
			var fleet []history.Series
			for n := range 20 {
				fleet = append(fleet, device(n))
			}
			var p history.Projections
			p.Series = append(p.Series, fleet...)
			seq, readings := uint64(0), 0
			for b.Loop() {
				b.StopTimer()
				p.Rows = p.Rows[:0]
				for i := range f.blocks {
					seq++
					p.Rows = append(p.Rows, block(fleet[i%len(fleet)], seq, int64(seq)*rows*1000, 1000, rows))
				}
				b.StartTimer()
				if err := s.Write(0, seq, &p); err != nil {
					b.Fatal(err)
				}
				readings += f.blocks * rows * points
			}
			b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(tables(b, dir))/float64(readings), "B/reading")
		})
	}
}

// tables is the size of the sorted tables in dir: what stays on disk.
func tables(b *testing.B, dir string) (size int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".sst" {
			info, ierr := d.Info()
			if ierr != nil {
				return ierr
			}
			size += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// BenchmarkRead8640 reads a day at 10 s of one point, from blocks of the given
// size.
func BenchmarkRead8640(b *testing.B) {
	for _, f := range []struct {
		name string
		rows int
	}{{"rows=1", 1}, {"rows=120", 120}} {
		b.Run(f.name, func(b *testing.B) {
			s, _ := store(b)
			defer func() { _ = s.Close() }()
			const samples, step = 8640, 10_000
			d := device(0)
			p := history.Projections{Series: []history.Series{d}}
			for i := 0; i < samples; i += f.rows {
				p.Rows = append(p.Rows, block(d, uint64(i)+1, int64(i)*step, step, f.rows))
			}
			if err := s.Write(0, 1, &p); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				n := 0
				for _, err := range s.Read(b.Context(), d.Device, "temperature", epoch, epoch.Add(24*time.Hour), 0) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != samples {
					b.Fatalf("%d samples", n)
				}
			}
		})
	}
}
