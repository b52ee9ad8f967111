package regmap

import (
	"errors"

	"github.com/atrium-iot/atrium/shared/profile"
)

// ErrCRC says that the bytes of a device changed on the way.
var ErrCRC = errors.New("crc mismatch")

// crc8 is the CRC over b, most significant bit first.
func crc8(b []byte, c profile.CRC) byte {
	r := c.Init
	for _, x := range b {
		r ^= x
		for range 8 {
			if r&0x80 != 0 {
				r = r<<1 ^ c.Poly
			} else {
				r <<= 1
			}
		}
	}
	return r ^ c.Xor
}

// checkCRC checks the byte behind each word of b and moves the words together
// at the beginning of b. When one is wrong, b is not worth reading.
func checkCRC(b []byte, c profile.CRC) error {
	kept := 0
	for at := 0; at+c.Word < len(b); at += c.Word + 1 {
		word := b[at : at+c.Word]
		if crc8(word, c) != b[at+c.Word] {
			return ErrCRC
		}
		kept += copy(b[kept:], word)
	}
	return nil
}
