package disk

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Flip changes one byte of one of the files that has any. Every file is as likely, and
// of those that are mostly a preallocated nothing, a place that is written.
func Flip(folder string, rng *rand.Rand, of func(file string) bool) (string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 && of(path) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s holds no such file", folder)
	}
	file := files[rng.IntN(len(files))]
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var written []int
	for at, v := range b {
		if v != 0 {
			written = append(written, at)
		}
	}
	at := rng.IntN(len(b))
	if len(written) > 0 {
		at = written[rng.IntN(len(written))]
	}
	to := b[at] ^ byte(1+rng.IntN(255))
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{to}, int64(at)); err != nil {
		return "", err
	}
	return fmt.Sprintf("byte %d of %s from %#02x to %#02x", at, filepath.Base(file), b[at], to), f.Sync()
}

// CopyFolder copies a folder that nobody writes.
func CopyFolder(from, to string) error { return command("cp", "-a", from, to) }
