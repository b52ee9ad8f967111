// Package arch holds the rules of the layout as a test: who may import whom,
// which package alone may import which engine, that every package says what it
// is for. It reads the sources, compiles nothing, and has no code of its own.
package arch
