// Package terminal is how Atrium looks in a terminal: lines of text in pieces
// with a look each, cut or padded to a width, sparklines, and numbers and
// units in the words of people. It reads and writes no terminal: what it
// returns are strings, which views put together.
package terminal
