//go:build !linux

package uplink

// segments: GSO is Linux's.
func segments(oob []byte) (size int, rest []byte) { return 0, oob }

// segmentsOf asks for nothing: what is sent is one packet.
func segmentsOf(uint16) []byte { return nil }
