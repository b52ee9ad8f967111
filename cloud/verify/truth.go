package verify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/atrium-iot/atrium/shared/id"
)

// maxTruthLine bounds a line of a truth file, in bytes: a device's name has at
// most 127 and a number 10.
const maxTruthLine = 1 << 10

// Sample is one reading that a board delivered.
type Sample struct {
	Device id.Device
	N      int64
}

// ParseTruth reads a truth file: JSON lines {"device":"hq/c1","n":17}. It
// appends to dst, so that the files of several boards become one truth. An
// error names the file and the line.
func ParseTruth(dst []Sample, file string, r io.Reader) ([]Sample, error) {
	if dst == nil {
		dst = []Sample{} // an empty truth is not the lack of one
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxTruthLine), maxTruthLine)
	at := 0
	for lines.Scan() {
		at++
		s, err := parseSample(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("verify: %s:%d: %w", file, at, err)
		}
		dst = append(dst, s)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("verify: %s:%d: want at most %d bytes a line", file, at+1, maxTruthLine)
	case err != nil:
		return nil, fmt.Errorf("verify: %s:%d: %w", file, at+1, err)
	}
	return dst, nil
}

func parseSample(line []byte) (Sample, error) {
	var raw struct {
		Device *string `json:"device"`
		N      *int64  `json:"n"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&raw); err != nil {
		return Sample{}, fmt.Errorf(`want {"device":"SITE/DEVICE","n":NUMBER}: %w`, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Sample{}, errors.New("more than one value on the line")
	}
	if raw.Device == nil || raw.N == nil {
		return Sample{}, errors.New(`want {"device":"SITE/DEVICE","n":NUMBER}`)
	}
	if *raw.N < 1 {
		return Sample{}, fmt.Errorf("n is %d: a counter chip's numbers begin with 1", *raw.N)
	}
	dev, err := id.ParseDevice(*raw.Device)
	if err != nil {
		return Sample{}, err
	}
	return Sample{Device: dev, N: *raw.N}, nil
}
