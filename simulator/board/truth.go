package board

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/atrium-iot/atrium/shared/id"
)

// maxTruthLine bounds a line: two names of id.MaxName and a number.
const maxTruthLine = 256

// record is one line of a truth file.
type record struct {
	Device string `json:"device"`
	N      uint32 `json:"n"`
}

// truth is the file that says which numbers of which counters hosts have got:
// one line each, in the order of the bus, written with one write and not
// synced, because it must outlive this process and not the machine. Boards may
// share a file. It is safe for concurrent use.
type truth struct {
	mu   sync.Mutex
	file *os.File
}

// openTruth opens or creates the file and returns the largest number that it
// holds of each device, so that counters continue above it. A line of another
// form is an error: appending to it would hide that the file is not a truth.
func openTruth(path string) (*truth, map[id.Device]uint32, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("truth: %w", err)
	}
	last, err := readTruth(f, path)
	if err != nil {
		f.Close() // read only so far
		return nil, nil, fmt.Errorf("truth: %w", err)
	}
	return &truth{file: f}, last, nil
}

func readTruth(f *os.File, path string) (map[id.Device]uint32, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a regular file", path)
	}
	last := map[id.Device]uint32{}
	lines := bufio.NewReaderSize(f, maxTruthLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return last, nil
		}
		var r record
		dev, bad := id.Device{}, err
		if bad == nil {
			bad = json.Unmarshal(line, &r)
		}
		if bad == nil {
			dev, bad = id.ParseDevice(r.Device)
		}
		if bad != nil {
			return nil, fmt.Errorf(`%s:%d: want a line {"device":"site/name","n":1}: %w`, path, n, bad)
		}
		last[dev] = max(last[dev], r.N)
	}
}

// add appends one line.
func (t *truth) add(dev id.Device, n uint32) error {
	line, err := json.Marshal(record{dev.String(), n})
	if err != nil {
		return fmt.Errorf("truth: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("truth: %w", err)
	}
	return nil
}

func (t *truth) close() error {
	if err := t.file.Close(); err != nil {
		return fmt.Errorf("truth: %w", err)
	}
	return nil
}
