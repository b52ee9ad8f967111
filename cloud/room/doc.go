// Package room keeps the rooms of a site: which devices are in them, and what
// those devices say together. It decides and nothing else: it reads no clock,
// does no I/O and starts no goroutine.
//
// A room is a document of the catalog (Parse). A site's Plan holds all of
// them and says who is a member of which: a room's own devices and those of
// every room below it by name, each once. A room's State is told who its
// members are and, with each change of a member's twin, what that member now
// says; its aggregates are computed from those values when somebody asks.
//
// None of it is in a snapshot: the documents are, and the twins, and from both
// the site makes its rooms again. Whether a room's devices exist is not asked:
// a document may name them before they are bound.
package room
