// Package membership knows which nodes of the cluster live, as one of them sees
// it, and what each says of itself.
//
// Every node says four times a second on the bus that it is there, with a
// document of what it is and carries, and writes the same document once a second
// into the key-value store, under node.<name>. The first is quick; the second
// reaches those whom the bus does not, and proves to the writer that a majority
// still takes its word (CutOff). Who falls silent is dead, who stops says so.
// Beside that, the keys drain.<name> say whom people want empty.
//
// It decides nothing about shards: placement does, from what Members returns,
// and only a claim's fence decides who owns one (package cluster). So a wrong
// guess here costs a move, never a record.
//
// machine.go is who lives as a pure state machine; membership.go brings it what
// is heard on the bus, store.go what is seen in the store. DESIGN.md has the
// rules and why the numbers are what they are.
package membership
