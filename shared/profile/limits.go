package profile

import "time"

// Limits of a profile: one bad file must not stop a gateway's bus or fill its
// memory. The ranges of single values are in document.go: a delay, poll or hold
// of at most 10 s, as a slow gas sensor's measurement takes 5 s; 256 bytes in one
// read, as an 8-bit register space has no more; addresses 0x08 to 0x77, as
// I2C reserves the others (UM10204, 3.1.12).
const (
	// maxSteps bounds a program and what a command does: the longest known
	// initialisations have some 20 writes.
	maxSteps = 64

	// maxWrite bounds the bytes of one write: the longest known is a
	// configuration page of 32 bytes.
	maxWrite = 64

	// maxScratch bounds what a program reads in total, which each device holds
	// in memory.
	maxScratch = 1024

	// maxNames bounds raw numbers, calibration and lets together: the BME280
	// has 29.
	maxNames = 128

	// maxLines bounds the lines of one device: relay boards have up to 16.
	maxLines = 16

	// maxCommands bounds the commands of a device type: two for each line.
	maxCommands = 32

	// maxName bounds a name in bytes: the same as a point's (shared/id).
	maxName = 63

	// maxTitle bounds the title in bytes.
	maxTitle = 120

	// maxWaits bounds the waits of one program or command in total: a device
	// occupies its place in the bus's queue as long.
	maxWaits = 20 * time.Second

	defaultTick  = time.Millisecond
	defaultEvery = 10 * time.Second
)
