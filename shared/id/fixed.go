package id

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Run names a FIFO of frames: 64 random bits (shared/wire/PROTOCOL.md,
// Identity). The zero Run names none.
type Run [8]byte

// Boot names one start of a gateway's kernel: the 16 bytes of Linux's
// /proc/sys/kernel/random/boot_id.
type Boot [16]byte

// Schema names the columns of a series: the first 16 bytes of the SHA-256 of
// a schema message's body.
type Schema [16]byte

// Board names the hardware that a gateway runs on.
type Board [16]byte

// Command names one command to a device: 128 random bits, drawn by whoever
// asks for it, so that asking twice is one command.
type Command [16]byte

// NewRun draws a run's name from r, which is crypto/rand.Reader outside tests.
func NewRun(r io.Reader) (Run, error) {
	var run Run
	if _, err := io.ReadFull(r, run[:]); err != nil {
		return Run{}, fmt.Errorf("id: new run: %w", err)
	}
	return run, nil
}

// String returns 16 hexadecimal digits.
func (r Run) String() string { return hex.EncodeToString(r[:]) }

// String returns 32 hexadecimal digits.
func (b Boot) String() string { return hex.EncodeToString(b[:]) }

// String returns 32 hexadecimal digits.
func (s Schema) String() string { return hex.EncodeToString(s[:]) }

// String returns 32 hexadecimal digits.
func (b Board) String() string { return hex.EncodeToString(b[:]) }

// String returns 32 hexadecimal digits.
func (c Command) String() string { return hex.EncodeToString(c[:]) }

// ParseCommand reads 32 hexadecimal digits, with or without the hyphens of a
// UUID.
func ParseCommand(s string) (Command, error) {
	var c Command
	if err := parseHex(c[:], strings.ReplaceAll(s, "-", "")); err != nil {
		return Command{}, fmt.Errorf("command %q: %w", s, err)
	}
	return c, nil
}

// ParseRun reads what Run.String wrote.
func ParseRun(s string) (Run, error) {
	var r Run
	if err := parseHex(r[:], s); err != nil {
		return Run{}, fmt.Errorf("run %q: %w", s, err)
	}
	return r, nil
}

// ParseBoot reads 32 hexadecimal digits, with or without the hyphens of a UUID.
func ParseBoot(s string) (Boot, error) {
	var b Boot
	if err := parseHex(b[:], strings.ReplaceAll(s, "-", "")); err != nil {
		return Boot{}, fmt.Errorf("boot %q: %w", s, err)
	}
	return b, nil
}

func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("want %d hexadecimal digits, got %d characters", 2*len(dst), len(s))
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}
