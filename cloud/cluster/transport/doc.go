// Package transport carries requests between the actor systems of a cluster's
// nodes over the bus: it is their actor.Transport.
//
// What one system sends to an actor of another comes to Exchange as bytes, goes
// as one bus request to the subject of the node's address, is given to the
// Engine there, and its answer comes back as the reply. A node that nobody
// listens for is actor.ErrStale, so that the sender looks for the actor anew. A
// node that has too many requests in hand answers at once that it is full.
//
// It does not know which node has which actor: a Locator says so, from the map
// of owners. It opens no connection and authenticates nobody: the bus is spoken
// by nodes of the cluster alone, over their routes' mutual TLS.
package transport
