// Package e2e tests the whole line: real programs where a process, a signal or
// a user matters, the gateway and the node in this process where only their
// conversation does. What one tier can show alone is tested there.
package e2e
