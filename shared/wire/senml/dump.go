package senml

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Dump reads messages, a CBOR sequence of byte strings as on a lane, and writes
// their readings as one JSON array, a record a line. An error names the message
// by its number, from 1, and its first byte, from 0; the array then ends with
// what came before it.
func Dump(w io.Writer, r io.Reader) (Counts, error) {
	out := bufio.NewWriter(w)
	d := dump{items: wire.NewReader(r, wire.MaxFrame), out: out}
	err := d.run()
	if d.begun {
		_, _ = out.WriteString("\n]\n") // Flush has the error
	} else {
		_, _ = out.WriteString("[]\n")
	}
	return d.convert.Counts, errors.Join(err, out.Flush())
}

type dump struct {
	items   *wire.Reader
	out     *bufio.Writer
	convert Converter
	records []Record
	begun   bool // a record was written
}

func (d *dump) run() error {
	for number, at := 1, 0; ; number++ {
		msg, err := d.items.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			d.records, err = d.convert.Take(d.records[:0], msg)
		}
		if err == nil {
			err = d.write()
		}
		if err != nil {
			return fmt.Errorf("message %d at byte %d: %w", number, at, err)
		}
		at += wire.ItemSize(len(msg))
	}
}

func (d *dump) write() error {
	for i := range d.records {
		b, err := line(&d.records[i])
		if err != nil {
			return err
		}
		before := ",\n"
		if !d.begun {
			before, d.begun = "[\n", true
		}
		if _, err := d.out.WriteString(before); err != nil {
			return err
		}
		if _, err := d.out.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// line is a record in JSON, with <, > and & as they are.
func line(r *Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}
