// Package wire is the protocol between a gateway and a gate: the messages of
// PROTOCOL.md, one file each, the columns inside a frame and the framing of a
// stream. It holds bytes and bounds only: no connection, no clock and no
// decision about what a message means for a run.
//
// A sampler's rows become columns (AppendColumns), columns become the blocks
// of a frame, Frame.Append makes the bytes that buffer, journal and history
// keep unchanged, AppendItem puts them on a stream. On the other side Reader
// takes one message off the stream, Peek tells its kind, ParseFrame and
// ParseColumns undo the rest.
//
// Append functions add to dst and return it. Parse functions accept only what
// the matching Append writes: shortest heads, definite lengths, exact array
// lengths, nothing after the end; lengths are checked against limits.go before
// memory is taken. Byte slices in a parsed message alias the input, strings
// are copies. Every error of a Parse function is an *Error or a *VersionError.
package wire
