package buffer

import (
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/atrium-iot/atrium/shared/durable"
)

// Badger replays its log of what is not in a table yet to the first entry that
// does not fit its CRC, and cuts the rest off: right for the torn end of a crash,
// and silent about all later commits if a byte in the middle changed. So a log
// with sound entries behind a damaged one is written again without that one;
// what it held is found by recovery as sequences that are missing (I1).

// The layout of a log (Badger v4, memtable.go and structs.go): a head, then
// entries of meta, user meta, uvarints of the key's length, the value's length
// and the expiry, key, value, and their CRC-32C; zeros to the end. The entries of
// a transaction carry logTxn, and one with logFin and no key of ours ends it.
const (
	logHead        = 20
	logTxn    byte = 1 << 6
	logFin    byte = 1 << 7
	logMaxKey      = 1 << 16
)

// salvageLogs looks over every log.
func salvageLogs(dir string, log *slog.Logger) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		out, damaged := salvageLog(data)
		if damaged == 0 {
			continue
		}
		log.Error("buffer: the store's log is damaged; what the damage held is lost, what follows it is kept", "file", filepath.Base(name), "places", damaged)
		if err := durable.WriteFile(name, out, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// salvageLog returns a log without its damaged places, and how many there were
// with sound entries behind them; out is nil if there were none. Its entries
// stand alone: with one of its entries gone, a transaction would not end as
// Badger wants it. A last one without its end was never acked and is left out.
func salvageLog(data []byte) (out []byte, damaged int) {
	if len(data) < logHead {
		return nil, 0
	}
	out = append(make([]byte, 0, len(data)), data[:logHead]...)
	ended := len(out) // what is sure to have been committed
	for at := logHead; at < len(data); {
		e, size := parseLogEntry(data[at:])
		if size == 0 {
			next := nextLogEntry(data, at+1)
			if next < 0 {
				break
			}
			// The end of the transaction may be what is damaged.
			damaged, at, ended = damaged+1, next, len(out)
			continue
		}
		at += size
		if e.meta&logFin == 0 {
			out = e.append(out)
		}
		if e.meta&logTxn == 0 {
			ended = len(out)
		}
	}
	if damaged == 0 {
		return nil, 0
	}
	out = out[:ended]
	return append(out, make([]byte, max(0, len(data)-len(out)))...), damaged
}

// nextLogEntry finds the first sound entry at or after a place, -1 for none. An
// entry is told from noise by its CRC, as keys are not empty.
func nextLogEntry(data []byte, from int) int {
	for at := from; at < len(data); at++ {
		if _, size := parseLogEntry(data[at:]); size > 0 {
			return at
		}
	}
	return -1
}

// logEntry is an entry; its bytes are those of the log.
type logEntry struct {
	meta byte
	rest []byte // from user meta to the end of the value
}

// parseLogEntry returns the entry at the beginning of data, and its size: 0 if
// there is none that fits its CRC.
func parseLogEntry(data []byte) (e logEntry, size int) {
	at := 2
	if len(data) <= at || data[0] == 0 && data[1] == 0 && data[2] == 0 {
		return e, 0
	}
	var lengths [3]uint64 // key, value; the expiry
	for i := range lengths {
		v, n := binary.Uvarint(data[at:])
		if n <= 0 {
			return e, 0
		}
		lengths[i], at = v, at+n
	}
	key, value := lengths[0], lengths[1]
	if key == 0 || key > logMaxKey || value > InlineValue || uint64(at)+key+value+crcSize > uint64(len(data)) {
		return e, 0
	}
	end := at + int(key+value)
	if binary.BigEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], castagnoli) {
		return e, 0
	}
	return logEntry{data[0], data[1:end]}, end + crcSize
}

// append writes the entry as one that stands alone.
func (e logEntry) append(out []byte) []byte {
	begin := len(out)
	out = append(append(out, e.meta&^(logTxn|logFin)), e.rest...)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out[begin:], castagnoli))
}
