package wire

import "fmt"

// Error is why a message was refused. For frames and gaps the gate answers
// with a reject of the same reason and text; a bad message of another kind
// ends the connection.
type Error struct {
	Reason RejectReason
	At     string // the field, as PROTOCOL.md names it
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("wire: %s: %s %v", e.Reason, e.At, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// VersionError is a message of a protocol version other than Version.
type VersionError struct {
	Got uint64
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("wire: protocol version %d, this side speaks %d", e.Got, Version)
}

// LimitError is an item of a stream that is longer than the reader allows.
type LimitError struct {
	Size  uint64 // bytes announced
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("wire: item of %d bytes, at most %d are allowed", e.Size, e.Limit)
}
