package buffer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/atrium-iot/atrium/shared/durable"
)

// A witness keeps the first record of each run in a file beside Badger's. A run
// whose record is lost with a table or a log would otherwise be gone without a
// word, and with it all that it held: recovery finds what is missing of a run,
// but not that a run is missing (I1). The file changes when a run begins, before
// its record is in the store, and when a run has left it.
type witness struct {
	file string
	runs map[string][]byte // the first record by key, both as in the store
}

const (
	witnessFile  = "runs"
	witnessEntry = runKeyLen + recordLen + crcSize
)

// readWitness reads what the file holds; an entry that is damaged is left out.
func readWitness(dir string) (*witness, error) {
	w := &witness{file: filepath.Join(dir, witnessFile), runs: map[string][]byte{}}
	data, err := os.ReadFile(w.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("witness of runs: %w", err)
	}
	for ; len(data) >= witnessEntry; data = data[witnessEntry:] {
		key, value := data[:runKeyLen], data[runKeyLen:witnessEntry]
		if _, err := unseal(key, value); err == nil && key[0] == keyRun {
			w.runs[string(key)] = bytes.Clone(value)
		}
	}
	return w, nil
}

// write makes the witness and its file say runs, durably before it returns.
func (w *witness) write(runs map[string][]byte) error {
	var out []byte
	for _, key := range slices.Sorted(maps.Keys(runs)) {
		out = append(append(out, key...), runs[key]...)
	}
	if err := durable.WriteFile(w.file, out, 0o600); err != nil {
		return fmt.Errorf("witness of runs: %w", err)
	}
	w.runs = runs
	return nil
}

// before notes the runs that a batch begins.
func (w *witness) before(b *Batch) error {
	runs := maps.Clone(w.runs)
	for _, op := range b.Ops {
		if op.Key[0] == keyRun && len(op.Value) == witnessEntry-runKeyLen && runs[string(op.Key)] == nil {
			runs[string(op.Key)] = bytes.Clone(op.Value)
		}
	}
	if len(runs) == len(w.runs) {
		return nil
	}
	return w.write(runs)
}

// after forgets the runs that a batch has removed. If that fails, or a crash
// comes first, they come back as runs that hold nothing.
func (w *witness) after(b *Batch) error {
	runs := maps.Clone(w.runs)
	for _, op := range b.Ops {
		if op.Key[0] == keyRun && op.Value == nil {
			delete(runs, string(op.Key))
		}
	}
	if len(runs) == len(w.runs) {
		return nil
	}
	return w.write(runs)
}

// attend puts the first records of runs back that the store has lost: their
// state is then open and their last sequence 0, from which recovery concludes
// what it can. Runs that the file lacks it takes from the store.
func (s *badgerStore) attend() error {
	var err error
	if s.witness, err = readWitness(s.dir); err != nil {
		return err
	}
	lost := maps.Clone(s.witness.runs)
	var have Batch
	err = s.Scan([]byte{keyRun}, func(key []byte, _ int64) error {
		delete(lost, string(key))
		value, err := s.Get(key)
		if errors.Is(err, errCorrupt) {
			return nil
		}
		if err == nil {
			have.Put(bytes.Clone(key), value)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.witness.before(&have); err != nil {
		return err
	}
	var gone Batch // while the witness was to be told, the process ended
	err = s.Scan([]byte{keyGone}, func(key []byte, _ int64) error {
		of := append([]byte{keyRun}, key[1:]...)
		if lost[string(of)] != nil {
			delete(lost, string(of))
			gone.Delete(of)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.witness.after(&gone); err != nil {
		return err
	}
	for key, value := range lost {
		s.log.Error("buffer: the store has lost a run; what it held is missing", "run", fmt.Sprintf("%x", key[1:]))
		if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(key), value) }); err != nil {
			return err
		}
	}
	return nil
}
