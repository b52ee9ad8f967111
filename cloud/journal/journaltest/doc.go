// Package journaltest holds what the journal promises as a contract test, and
// Mem, a double of the embedded server in memory that passes it. Nodes are
// three real servers in one process, for what needs replicas.
//
// Mem is for simulations: it runs under testing/synctest, and its faults are
// those of a real store: an answer that does not come although the message was
// stored, or was not, or is stored later; a full disk; a power cut before or
// after any durable step, with what was in flight kept whole or not at all.
// With LazySync it acks before it syncs, as the contract forbids: tests use it
// to prove that they would notice.
package journaltest
