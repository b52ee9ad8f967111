// Package expr compiles the arithmetic of device profiles: an expression over
// named values, all of them float64, becomes a small stack program that runs
// without allocating. It knows + - * / and unary minus, comparisons (1 or 0),
// a ? b : c, parentheses, and the functions min, max, abs, floor, sqrt and
// pow. There are no loops, texts, assignments or side effects, so a program
// always ends, after at most MaxCode steps.
//
//	source -> parse (tree, constants folded) -> emit (code) -> Program.Run
//
// Arithmetic is IEEE 754 binary64, evaluated as written and never fused, so
// that every architecture gives the same bits (see Run). pow with a fractional
// exponent is the exception: math.Exp is each architecture's own, and the last
// bit may differ.
package expr

import "fmt"

const (
	// MaxSource bounds an expression in bytes: a line of a document. The
	// longest term of the BME280's compensation has 101.
	MaxSource = 1024

	// MaxCode bounds a program in instructions, and so its run time to about a
	// microsecond.
	MaxCode = 256

	// MaxStack bounds the values that wait on the stack, which Run keeps in
	// an array of its own.
	MaxStack = 32

	// maxNesting bounds the parser's recursion.
	maxNesting = 64
)

// Error is a fault in an expression.
type Error struct {
	Column int // in bytes, from 1
	Text   string
}

func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.Column, e.Text) }

// Program is a compiled expression. It never changes and is safe for several
// goroutines.
type Program struct {
	code []instruction
}

// Compile compiles an expression. slot gives the place of a name in the slice
// that Run gets; its second result is false for an unknown name. Errors are of
// type *Error.
func Compile(source string, slot func(name string) (int, bool)) (*Program, error) {
	if len(source) > MaxSource {
		return nil, &Error{MaxSource + 1, fmt.Sprintf("%d bytes, at most %d", len(source), MaxSource)}
	}
	p := parser{src: source, slot: slot}
	tree, err := p.parse()
	if err != nil {
		return nil, err
	}
	var e emitter
	e.emit(tree)
	if len(e.code) > MaxCode || e.high > MaxStack {
		return nil, &Error{1, fmt.Sprintf("too large: %d steps and %d waiting values, at most %d and %d", len(e.code), e.high, MaxCode, MaxStack)}
	}
	return &Program{e.code}, nil
}
