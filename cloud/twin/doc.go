// Package twin keeps the cloud's image of a device: what each of its points
// last reported, and whether it still speaks. It decides and nothing else: it
// reads no clock, does no I/O and starts no goroutine, so that the same inputs
// in the same order give the same state, byte for byte (I7).
//
// The site's gateway actor decodes a frame and sends each block here as a
// Batch; State.Step takes the newest value of each point in the order of I4.
// What a twin does not do: keep history, or judge sequences, which the gateway
// has done before.
package twin
