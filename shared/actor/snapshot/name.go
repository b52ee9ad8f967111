package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
)

// maxReadable bounds a name that shows its whole ID. Names of sites, devices
// and rooms' labels have at most 63 bytes, so that three of them and two
// escaped slashes stay readable; a file name may have 255 bytes.
const maxReadable = 200

// nameOf returns the folder, two hex digits that spread IDs evenly, and the
// name of an ID's file, without extension. Different IDs have different names,
// also on a file system that takes "A" for "a".
func nameOf(id string) (folder, name string) {
	sum := sha256.Sum256([]byte(id))
	name = escape(id)
	if len(name) > maxReadable {
		// "~" is never in an escaped ID, so no other name is equal.
		name = name[:maxReadable/2] + "~" + hex.EncodeToString(sum[:])
	}
	return hex.EncodeToString(sum[:1]), name
}

// escape keeps lower-case letters, digits, '.', '-' and '_', and writes every
// other byte as % and two hex digits.
func escape(id string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, len(id)+8)
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}
