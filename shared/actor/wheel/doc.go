// Package wheel has the timers of the actor runtime: any number of them, set
// and cancelled in constant time, most of which never fire.
//
// Wheel decides: a timer goes in with the time when it is due, Advance takes
// out those that are. It has no clock, goroutine or lock. Clock is the shell
// around one: it follows the time and calls functions. Neither is precise
// beyond one Tick, neither calls anything early, and neither outlives its
// process: what must be remembered is the caller's.
package wheel
