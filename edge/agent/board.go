package agent

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/atrium-iot/atrium/shared/durable"
	"github.com/atrium-iot/atrium/shared/id"
)

// boardFiles name a machine for good: a Raspberry Pi's serial number, else
// what the installation drew (machine-id(5)).
var boardFiles = [...]string{"/sys/firmware/devicetree/base/serial-number", "/etc/machine-id"}

// readBoard names the hardware, so that the cloud notices a card that runs in
// two boards. A machine that has no name gets a random one in its state.
func readBoard(state string) (id.Board, error) {
	for _, path := range boardFiles {
		if b, err := os.ReadFile(path); err == nil {
			if b = bytes.TrimRight(b, "\x00\n "); len(b) > 0 {
				sum := sha256.Sum256(b)
				return id.Board(sum[:16]), nil
			}
		}
	}
	path := filepath.Join(state, "board")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = drawBoard(path)
	}
	if err != nil {
		return id.Board{}, fmt.Errorf("agent: board: %w", err)
	}
	if len(b) != len(id.Board{}) {
		return id.Board{}, fmt.Errorf("agent: board: %s has %d bytes, want %d: remove it and the gateway counts as another board", path, len(b), len(id.Board{}))
	}
	return id.Board(b), nil
}

// drawBoard writes a random name into a file that a power cut leaves whole or
// not there.
func drawBoard(path string) ([]byte, error) {
	b := make([]byte, len(id.Board{}))
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	return b, durable.WriteFile(path, b, 0o600)
}
