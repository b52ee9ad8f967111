package document

import (
	"bytes"
	"errors"

	"github.com/atrium-iot/atrium/shared/config"
)

// Placed is a document and the line of its file where it begins, from 1.
type Placed struct {
	*Document
	Line int
}

// ParseFile reads the documents of a file, which stand between lines of three
// hyphens and perhaps a comment; what holds nothing but comments is none. Every fault is reported,
// one a document, joined, with the place in the file.
func ParseFile(file string, data []byte) ([]Placed, error) {
	var all []Placed
	var faults []error
	for _, p := range split(bytes.TrimPrefix(data, []byte(config.Mark))) {
		d, err := Parse(file, p.text)
		if err != nil {
			faults = append(faults, moved(err, p.line-1))
			continue
		}
		all = append(all, Placed{d, p.line})
	}
	if len(all) == 0 && len(faults) == 0 {
		faults = append(faults, &config.Error{File: file, Text: "no document in it"})
	}
	return all, errors.Join(faults...)
}

// moved shifts the place of a fault down by some lines.
func moved(err error, lines int) error {
	var placed *config.Error
	if !errors.As(err, &placed) {
		return err
	}
	at := *placed
	at.Line = max(at.Line, 1) + lines // a fault of a document as a whole is at its first line
	at.Column = max(at.Column, 1)
	return &at
}

// part is a stretch of a file between two separators.
type part struct {
	line int // the first, from 1
	text []byte
}

func split(data []byte) []part {
	var parts []part
	begin, line, first := 0, 1, 1
	cut := func(end int) {
		if text := data[begin:end]; !hollow(text) {
			parts = append(parts, part{first, text})
		}
	}
	at := 0
	for l := range bytes.Lines(data) {
		if separates(l) {
			cut(at)
			begin, first = at+len(l), line+1
		}
		at += len(l)
		line++
	}
	cut(at)
	return parts
}

// separates reports a line of three hyphens and nothing else but a comment.
func separates(line []byte) bool {
	rest, hyphens := bytes.CutPrefix(line, []byte("---"))
	comment := bytes.TrimLeft(rest, " \t\r\n")
	return hyphens && (len(comment) == 0 || comment[0] == '#' && len(comment) < len(rest))
}

// hollow reports a text of blank lines and comments only.
func hollow(text []byte) bool {
	for l := range bytes.Lines(text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
			return false
		}
	}
	return true
}
