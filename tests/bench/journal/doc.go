// Package journal measures the journal on the machine's own disk: what a frame
// waits until it is durable. It holds benchmarks only.
package journal
