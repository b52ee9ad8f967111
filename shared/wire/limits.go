package wire

import "time"

// Limits of version 1. A message beyond one is refused with RejectLimit before
// memory is taken for it.
const (
	// MaxFrame bounds a frame or gap in bytes: four times the size at which the
	// edge cuts, and several fit in one journal message (NATS: 1 MiB).
	MaxFrame = 256 << 10

	// MaxControl bounds every other message in bytes: a bind of MaxDevices
	// devices with the longest names is 132 KiB.
	MaxControl = 256 << 10

	// MaxBlocks bounds the blocks of a frame, one a series: the same as
	// MaxDevices, as a device has one series at a time.
	MaxBlocks = 1024

	// MaxRows bounds the rows of a frame, all its blocks together. A constant
	// column costs one byte whatever its length, so that without this bound a
	// small frame could cost seconds to decode.
	MaxRows = 65536

	// MaxColumns bounds the points of a series: quality is one integer a row
	// with two bits a point, and must stay positive in 64 bits.
	MaxColumns = 31

	// MaxTexts bounds the strings of a text column in a block: a device has some
	// dozens of states and messages. The writer ends the block before more.
	MaxTexts = 1024

	// MaxString bounds a string in bytes: an error in words or a scanned code,
	// not a document. A twin keeps one a point.
	MaxString = 1024

	// MaxRuns bounds the runs in a hello or an ack. A gateway makes two runs at
	// a start or a reconnect with backlog; at 1,024 it must drain before it may
	// open more.
	MaxRuns = 1024

	// MaxBoots bounds the boots in a hello: at most one a run.
	MaxBoots = MaxRuns

	// MaxDevices bounds a bind: some hundred devices fill a gateway's buses.
	MaxDevices = 1024

	// MaxBody bounds the encoding of a schema's columns: MaxColumns columns of
	// the longest names and units take 5 KiB.
	MaxBody = 8 << 10

	// MaxArgs bounds the args of a command: a datasheet's functions have a few.
	MaxArgs = 16

	// MaxSettled bounds the ids of a settled, and so the results of a connection
	// that are not yet settled: a gateway ends commands one after another, and a
	// round trip settles them all.
	MaxSettled = 64

	// TimeEvery is how often a gateway asks for the time. A board's crystal makes less
	// than 60 ms of error in it (100 parts per million).
	TimeEvery = 10 * time.Minute

	// MaxRemaining bounds how long a command may still begin, in milliseconds:
	// 7 days. Later nobody remembers what it was for.
	MaxRemaining = 7 * 24 * 3600 * 1000

	// MaxAgo bounds how long ago a result came about, in milliseconds: 100
	// years of 365 days, which still fit a time.Duration.
	MaxAgo = 100 * 365 * 24 * 3600 * 1000

	// MaxNodes bounds the addresses in a nodes: more gates than a gateway will
	// ever try in turn.
	MaxNodes = 64

	// MaxLater bounds the pause of a later, in milliseconds: 10 minutes, so that
	// no single answer silences a gateway for long.
	MaxLater = 10 * 60 * 1000

	// MaxText bounds every text for which no other limit is named, in bytes:
	// versions, node names, reasons in words.
	MaxText = 256

	// MaxUnit bounds a unit's code in bytes: UCUM expressions are short.
	MaxUnit = 32

	// MaxExponent bounds a column's decimal exponent on both sides: the SI
	// prefixes end at 10^30.
	MaxExponent = 30
)
