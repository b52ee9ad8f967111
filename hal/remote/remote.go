// Package remote carries I2C buses and GPIO chips over a unix socket: to a
// simulated board, which is a process of its own, so that killing an edge agent
// never kills its board. Dial gives the client's end of a bus as periph's
// i2c.BusCloser, DialLines that of a GPIO chip, whose lines are periph's
// gpio.PinIO; Serve is the board's end. The package knows no chips and keeps no
// state of a bus or a line.
//
// # Protocol, version 1
//
// The socket is a unix stream. Both directions carry messages:
//
//	length  uint32, big-endian, of what follows, 1 to MaxMessage
//	kind    byte
//	...     by kind, integers big-endian
//
//	client                                     server
//	open      = 1 | version byte | bus name    -> opened = 2 | text
//	openLines = 6 | version byte | chip name   -> opened = 2 | text
//	tx        = 3 | addr uint16 | n uint16 | bytes to write
//	                                           -> data   = 4 | n bytes read
//	in        = 7 | offset uint16 | pull byte  -> data   = 4
//	read      = 8 | offset uint16              -> data   = 4 | level byte
//	out       = 9 | offset uint16 | level byte -> data   = 4
//	                          to each of the four, or failed = 5 | text
//
// A connection begins with one open or openLines, which names one bus or one
// GPIO chip; an opened with a text is a refusal, and the server closes. Then the
// client sends one request at a time and waits for its answer: on a bus tx, on a
// GPIO chip in, read and out. A connection never has two requests in flight, and
// the server runs the requests of a bus or a chip one at a time however many
// connections name it. A server that is older than the GPIO messages refuses
// openLines in words; that is why they did not change the version.
//
// A tx writes, then reads n bytes, after a repeated start, as i2c.Bus says;
// either part may be empty. A line is named by its offset on the chip. in makes
// it an input; pull is 0 to leave the pull resistor as it is, 1 for none, 2 down,
// 3 up. read gives its level, 0 or 1. out makes it an output of that level.
// Edges are not carried. A line stays what it is when the client leaves.
//
// A failed carries the text of the bus's error and nothing else, because
// periph's own errors are text only (they wrap errno with %v): whoever
// classifies "remote I/O error" finds the same words as on a real bus.
//
// There is no message for an error of the protocol: the side that sees one
// closes the connection. After any error of the socket the client closes it
// too and dials again at its next request, so that a request is never sent
// twice and an answer never meets the wrong one.
package remote

import "time"

// Version is the protocol's version. A server refuses any other.
const Version = 1

const (
	// MaxTransfer bounds each half of a transaction in bytes: what Linux's
	// i2c-dev allows in one message (drivers/i2c/i2c-dev.c, i2cdev_ioctl_rdwr).
	MaxTransfer = 8192

	// MaxMessage bounds a message: the largest transfer and its fields.
	MaxMessage = MaxTransfer + 8

	// maxName bounds the name of a bus or chip: the length of a file name on Linux.
	maxName = 255

	// maxText bounds an error's text. The kernel's are below 64 bytes; the
	// rest leaves room for what wraps them.
	maxText = 512

	// maxConns bounds a server's connections. A board has one gateway and now
	// and then somebody who looks; 64 leaves room for tests.
	maxConns = 64

	// txTimeout bounds one request at the client, dialling included. It is
	// far above any real bus (i2c-imx gives up after 344 ms), because the
	// owner of the bus watches its own, shorter, deadline; it only ends the
	// wait for a board process that is stopped.
	txTimeout = 5 * time.Second

	// messageTimeout bounds the rest of a message once it has begun, and the
	// writing of an answer: a peer that stalls in the middle holds the bus.
	messageTimeout = 2 * time.Second
)
