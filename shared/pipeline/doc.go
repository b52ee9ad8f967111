// Package pipeline compiles pipelines and runs them: a named chain of stages
// (filter, derive, window, alarm) over the readings of devices. The same
// definitions run in the cloud's site group and can run at the edge.
//
//	YAML -> Parse -> Pipeline (immutable)
//	rows of one frame -> Pipeline.Step(now, *State) -> Output: window parts, alarm transitions, counts
//	time              -> Pipeline.Tick(now, *State) -> the same
//
// A State belongs to one device and one revision of a pipeline; it is plain
// data and its CBOR is its snapshot. The package decides purely: it reads no
// clock, no store and no history, starts no goroutine, and does not know which
// devices are in a room. DESIGN.md has the rules of time.
package pipeline
