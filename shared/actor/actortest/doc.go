// Package actortest tests actors: it runs them one message at a time in an order
// that a seed decides, and has probes, actors that note what they are sent.
//
// NewSystem makes a system of the first kind. Nothing runs in it until the test
// says Step, Run, Pass or expects something; then one actor after the other
// handles one message, and which one is drawn from the seed. The same seed gives
// the same interleaving, so that a test which failed fails again; Seeds tries
// many. On a failure the seed is printed.
//
// InBubble is for the interleavings of the real dispatchers: it wraps an
// ordinary system in a bubble of testing/synctest. Probes work with both. Time
// is the bubble's: Pass lets it pass, and actors run when their timers fire.
// Outside of a bubble a stepped system has the real time, and Pass is not for
// it.
//
// A probe expects what has come once all actors are quiet; it never waits for a
// while, so no test is slower or fails because a machine is busy. Failures end
// the test at the line that expected, by testing.TB's Fatalf.
//
// It does not imitate faults of a network or a disk, and it does not step what
// runs in goroutines of a receiver's own.
package actortest
