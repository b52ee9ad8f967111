// Package outage leaves a gateway without a link for a week, in fake time: the
// real buffer on its real store, and the rules by which devices thin their rows.
// A book of all that was sampled stands outside of them, and says of each row
// afterwards whether it is in the buffer or in a range of the ledger (I1), while
// disk and memory stay within their bounds (I5).
//
// Doubles are the sensors, whose values the book can tell again, and the cloud,
// which takes what the uplink would send. Crashes, damage and what a link does
// while it is there are the business of tests/faults and of edge/buffer's own
// tests.
package outage
