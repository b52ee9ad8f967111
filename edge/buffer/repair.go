package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/shared/durable"
)

// Badger trusts its MANIFEST: a table that it does not name is deleted at the
// next start, with all keys in it, and silently; and a table with a damaged
// index ends the process. So a store is looked over before Badger opens it.
// What is lost by that is found by recovery as sequences that are missing (I1).

// damagedSuffix is what a table is renamed to that cannot be read. Those of the
// last repair stay for people to look at.
const damagedSuffix = ".damaged"

// repair puts right what Badger would stumble over or take for the truth, under
// the lock that Badger takes. It returns ErrInUse if another process has it.
func repair(dir string, log *slog.Logger) error {
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return ErrInUse
	}
	tables, damaged, err := readTables(dir)
	if err != nil {
		return err
	}
	if len(damaged) > 0 {
		log.Error("buffer: tables of the store are damaged and put aside; what they held becomes gaps", "tables", damaged)
		if err := setAside(dir, damaged); err != nil {
			return err
		}
	}
	if why := manifestFault(dir, tables, log); why != nil {
		log.Error("buffer: the store's MANIFEST does not serve; it is made again from the tables that are there", "tables", len(tables), "error", why)
		if err := writeManifest(dir, tables); err != nil {
			return err
		}
	}
	if err := dropRegistry(dir, log); err != nil {
		return err
	}
	if err := dropUnborn(dir); err != nil {
		return err
	}
	if err := clearHeads(dir); err != nil {
		return err
	}
	if err := salvageLogs(dir, log); err != nil {
		return err
	}
	return lock.Sync()
}

// readTables reads every table and returns the numbers of those that are as
// they were written, and the names of the others. Tables hold keys and small
// values only: some megabytes at most.
func readTables(dir string) (sound []uint64, damaged []string, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		n, ok := table.ParseFileID(filepath.Base(name))
		if !ok {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		if tableSound(data, n) {
			sound = append(sound, n)
		} else {
			damaged = append(damaged, filepath.Base(name))
		}
	}
	return sound, damaged, nil
}

// tableSound reads a table to its end. Badger panics on an index that cannot be
// read.
func tableSound(data []byte, n uint64) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	t, err := table.OpenInMemoryTable(data, n, &table.Options{})
	return err == nil && t.VerifyChecksum() == nil
}

func setAside(dir string, damaged []string) error {
	old, err := filepath.Glob(filepath.Join(dir, "*"+damagedSuffix))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for _, name := range damaged {
		at := filepath.Join(dir, name)
		if err := os.Rename(at, at+damagedSuffix); err != nil {
			return err
		}
	}
	return nil
}

// manifestFault returns what is wrong with the MANIFEST, nil if it may be
// trusted or nothing depends on it.
func manifestFault(dir string, tables []uint64, log *slog.Logger) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) && len(tables) == 0 {
		return nil // a new store
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, read, err := badger.ReplayManifestFile(f, 0, badgerOptions(dir, log))
	switch {
	case err != nil:
		return err
	case read != info.Size():
		return fmt.Errorf("it ends in the middle of an entry, at %d of %d bytes", read, info.Size())
	}
	for n := range m.Tables {
		if !slices.Contains(tables, n) {
			return fmt.Errorf("it names table %d, which is not there or damaged", n)
		}
	}
	return nil
}

// The MANIFEST's layout (Badger v4, manifest.go): magic and two versions, then
// entries of length, CRC-32C and a ManifestChangeSet (pb/badgerpb4.proto).
const (
	manifestHead = "Bdgr\x00\x00\x00\x08"
	changesField = 0x0a // ManifestChangeSet.changes, length-delimited
	idField      = 0x08 // ManifestChange.Id, varint; op CREATE, level 0 and no compression are defaults
)

// writeManifest writes one that has every table on level 0, where tables may
// overlap: of a key that is in several the newest version counts, as it does
// wherever they lie.
func writeManifest(dir string, tables []uint64) error {
	var set []byte
	for _, n := range tables {
		change := binary.AppendUvarint([]byte{idField}, n)
		set = append(binary.AppendUvarint(append(set, changesField), uint64(len(change))), change...)
	}
	out := []byte(manifestHead)
	out = binary.BigEndian.AppendUint32(out, uint32(len(set)))
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(set, castagnoli))
	at := filepath.Join(dir, badger.ManifestFilename)
	return durable.WriteFile(at, append(out, set...), 0o600)
}

// dropUnborn removes logs that were made and given no size before the process
// was killed: Badger would take them for old ones and refuse to start.
func dropUnborn(dir string) error {
	for _, pattern := range []string{"*.vlog", "*.mem"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err == nil && info.Size() == 0 {
				err = os.Remove(name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// clearHeads clears the key numbers at the heads of logs: nothing is encrypted,
// and Badger does not open a log whose key it does not have.
func clearHeads(dir string) error {
	for _, pattern := range []string{"*.vlog", "*.mem"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := clearHead(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func clearHead(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var head, clear [8]byte
	if n, _ := f.ReadAt(head[:], 0); n < len(head) || head == clear {
		return nil // Badger begins one anew that is shorter than its head
	}
	if _, err := f.WriteAt(clear[:], 0); err != nil {
		return err
	}
	return f.Sync()
}

// dropRegistry puts the registry of keys aside if Badger cannot read it; it
// makes another. Nothing is encrypted.
func dropRegistry(dir string, log *slog.Logger) error {
	at := filepath.Join(dir, badger.KeyRegistryFileName)
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	registry, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true})
	if err == nil {
		return registry.Close()
	}
	log.Error("buffer: the store's registry of keys is damaged; it is made again, as nothing is encrypted", "error", err)
	return os.Rename(at, at+damagedSuffix)
}
