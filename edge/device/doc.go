// Package device samples devices: it says when each is read, decides which
// readings are worth a row, and appends the rows to the device's series.
//
//	schedule -tick-> device actor -task-> bus owner -> regmap
//	                     ^------- sample, time -------'
//	                     `-> Step -> row -> series
//
// One goroutine, the schedule, ticks all devices, at multiples of their
// interval of the boot's time, so that devices of one interval are read
// together and share frames. Each device is an actor with at most one read in
// flight. The time of a sample is CLOCK_BOOTTIME at the moment its read
// finished.
//
// Whether a sample becomes a row is decided in Step, which is pure. A row is
// sent if any point has moved by its deadband since the last row, or the
// quality changed, or the heartbeat has elapsed; the others are withheld and
// counted, and the count travels with the next row. A failed read is a row
// with every point bad.
//
// While the buffer is under pressure only each 2nd, 4th or 8th row that is due
// is sent, and the others are withheld and counted in the same way: a thinner
// series now, rather than a hole later. Changes of quality and of boolean
// points always pass, and so does a row once that many heartbeats are over.
//
// A command goes through the same actor, so that it never runs beside a read:
// it waits for the one in flight, and a read follows it at once. One command a
// device is taken at a time; their order and identity are edge/command's.
//
// The package decodes nothing, keeps nothing and knows no clock but the
// boot's. What is lost here is counted: ticks that came while a read was in
// flight, rows that the series refused (I1, I5).
package device
