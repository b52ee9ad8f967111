package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// rowFormat is how rows are printed.
type rowFormat uint8

const (
	rowsTable rowFormat = iota
	rowsCSV
	rowsJSON
)

// column is a column of rows.
type column[T any] struct {
	name  string
	width int
	text  func(T) string
}

// printRows prints rows as they come: there may be millions.
func printRows[T any](out io.Writer, format rowFormat, columns []column[T], rows iter.Seq2[T, error]) error {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	write := tableWriter(out, columns)
	switch format {
	case rowsJSON:
		enc := json.NewEncoder(out)
		for row, err := range rows {
			if err == nil {
				err = enc.Encode(row)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case rowsCSV:
		w := csv.NewWriter(out)
		defer w.Flush()
		write = w.Write
	}
	headed := false
	for row, err := range rows {
		if err == nil && !headed { // what is refused at once has no head either
			headed, err = true, write(names)
		}
		if err != nil {
			return err
		}
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = c.text(row)
		}
		if err := write(cells); err != nil {
			return err
		}
	}
	if !headed {
		return write(names)
	}
	return nil
}

func tableWriter[T any](out io.Writer, columns []column[T]) func([]string) error {
	return func(cells []string) error {
		var b strings.Builder
		for i, text := range cells {
			fmt.Fprintf(&b, "%-*s", columns[i].width, printable(text))
			if len(text) >= columns[i].width {
				b.WriteByte(' ')
			}
		}
		_, err := fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
		return err
	}
}

// printable keeps what a device says from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func readingColumns(raw bool) []column[client.Reading] {
	columns := []column[client.Reading]{
		{"time", 32, func(r client.Reading) string { return r.Time.UTC().Format(time.RFC3339Nano) }},
		{"value", 14, func(r client.Reading) string {
			if r.Text != nil {
				return *r.Text
			}
			if r.Value == nil {
				return ""
			}
			return number(*r.Value)
		}},
		{"quality", 12, func(r client.Reading) string { return r.Quality }},
		{"clock", 11, func(r client.Reading) string { return r.Clock }},
	}
	if !raw {
		return columns
	}
	return append(columns,
		column[client.Reading]{"raw", 12, func(r client.Reading) string { return strconv.FormatInt(r.Raw, 10) }},
		column[client.Reading]{"run", 18, func(r client.Reading) string { return r.Run }},
		column[client.Reading]{"seq", 12, func(r client.Reading) string { return strconv.FormatUint(r.Seq, 10) }},
		column[client.Reading]{"sid", 6, func(r client.Reading) string { return strconv.FormatUint(uint64(r.SID), 10) }},
		column[client.Reading]{"row", 6, func(r client.Reading) string { return strconv.Itoa(r.Row) }},
	)
}

func windowColumns() []column[client.Window] {
	value := func(name string, of func(client.Window) float64) column[client.Window] {
		return column[client.Window]{name, 14, func(w client.Window) string { return number(of(w)) }}
	}
	return []column[client.Window]{
		{"start", 32, func(w client.Window) string { return w.Start.UTC().Format(time.RFC3339Nano) }},
		{"end", 32, func(w client.Window) string { return w.End.UTC().Format(time.RFC3339Nano) }},
		value("mean", func(w client.Window) float64 { return w.Mean }),
		value("min", func(w client.Window) float64 { return w.Min }),
		value("max", func(w client.Window) float64 { return w.Max }),
		{"count", 8, func(w client.Window) string { return strconv.FormatUint(w.Count, 10) }},
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
