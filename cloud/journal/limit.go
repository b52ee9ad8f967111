package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/shared/durable"
)

const (
	// storePercent of the free disk is the store's: a full disk freezes every
	// stream until a restart, so the rest stays free.
	storePercent = 70
	// maxStore bounds the store on a large disk, so that a start on an empty
	// one does not reserve terabytes for streams that are purged at once.
	maxStore = 64 << 30
	// minStore is the least with which a server starts: below it the streams'
	// reservations leave no room to write.
	minStore = 256 << 20
)

// storeLimit is what the store may take of the disk. It is decided when the
// store is made and kept beside it: the streams reserve their shares of it, and
// would not fit a limit that shrinks as the disk fills.
func storeLimit(cfg ServerConfig) (int64, error) {
	path := filepath.Join(cfg.Dir, "limit")
	made, err := readLimit(path)
	if err != nil {
		return 0, err
	}
	limit := cfg.MaxStore
	switch {
	case limit == 0 && made != 0:
		return made, nil
	case limit == 0:
		if limit, err = measure(cfg.Dir); err != nil {
			return 0, err
		}
	case limit < minStore:
		return 0, fmt.Errorf("store of %d bytes, want at least %d", limit, int64(minStore))
	case limit < made:
		return 0, fmt.Errorf("store of %d bytes: it was made with %d and cannot shrink", limit, made)
	}
	if limit == made {
		return made, nil
	}
	// Before the first stream is there: without it the next start would measure
	// a disk on which the streams no longer fit.
	return limit, durable.WriteFile(path, []byte(strconv.FormatInt(limit, 10)), 0o644)
}

func readLimit(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n < minStore {
		return 0, fmt.Errorf("%s holds %q, want a number of bytes of at least %d", path, b, int64(minStore))
	}
	return n, nil
}

func measure(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	limit := min(free/100*storePercent, maxStore)
	if limit < minStore {
		return 0, fmt.Errorf("disk of %s has %d MiB free: too few, %d MiB are needed", dir, free>>20, minStore*100/storePercent>>20)
	}
	return limit, nil
}
