package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. In YAML it is a whole number, alone or with KiB,
// MiB or GiB behind it.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads "20MiB". It does not accept fractions, signs or decimal
// units, because "20MB" is read differently by different people.
func parseSize(s string) (Size, error) {
	digits, factor := s, int64(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, factor = strings.TrimSpace(d), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("size %q: want a whole number of bytes, KiB, MiB or GiB", s)
	}
	return Size(int64(n) * factor), nil
}

// String returns the largest unit that divides the size.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func parseDuration(s string) (time.Duration, error) {
	t, err := time.ParseDuration(s)
	if err == nil && t < 0 {
		return 0, fmt.Errorf("%w: %q", strconv.ErrRange, s)
	}
	return t, err
}

// parseInt reads 42, -1, 0x2a, 0b101 or 0o17. A leading zero alone is refused:
// it is octal to some and decimal to others.
func parseInt(s string, bits int) (int64, error) {
	if octal(s) {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 0, bits)
}

func parseUint(s string, bits int) (uint64, error) {
	if octal(s) {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 0, bits)
}

func octal(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}
