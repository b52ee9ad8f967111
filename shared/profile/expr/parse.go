package expr

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// functions with their number of operands.
var functions = map[string]struct {
	op    opcode
	arity int
}{
	"abs": {opAbs, 1}, "floor": {opFloor, 1}, "sqrt": {opSqrt, 1},
	"min": {opMin, 2}, "max": {opMax, 2}, "pow": {opPow, 2},
}

// IsName says whether an expression can have s as a name: a letter or _, then
// letters, digits and _. Functions' names are among them.
func IsName(s string) bool {
	for i := range len(s) {
		if !letter(s[i]) && (i == 0 || !digit(s[i])) {
			return false
		}
	}
	return s != ""
}

// IsFunction says whether a name is taken by a function.
func IsFunction(name string) bool { _, ok := functions[name]; return ok }

// parser is a recursive descent over the source:
//
//	choice  = compare [ "?" choice ":" choice ]
//	compare = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
//	sum     = product { ("+" | "-") product }
//	product = unary { ("*" | "/") unary }
//	unary   = "-" unary | number | name | name "(" choice { "," choice } ")" | "(" choice ")"
type parser struct {
	src   string
	at    int
	depth int
	slot  func(string) (int, bool)
}

func (p *parser) parse() (*tree, error) {
	t, err := p.choice()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.src) {
		return nil, p.want("an operator or the end")
	}
	return t, nil
}

func (p *parser) choice() (*tree, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	cond, err := p.compare()
	if err != nil || !p.accept("?") {
		return cond, err
	}
	yes, err := p.choice()
	if err != nil {
		return nil, err
	}
	if !p.accept(":") {
		return nil, p.want(`":"`)
	}
	no, err := p.choice()
	if err != nil {
		return nil, err
	}
	return choose(cond, yes, no), nil
}

func (p *parser) compare() (*tree, error) {
	a, err := p.sum()
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		sign string
		op   opcode
		swap bool
	}{{"<=", opLessEqual, false}, {">=", opLessEqual, true}, {"==", opEqual, false}, {"!=", opNotEqual, false}, {"<", opLess, false}, {">", opLess, true}} {
		if !p.accept(c.sign) {
			continue
		}
		b, err := p.sum()
		if err != nil {
			return nil, err
		}
		if c.swap {
			a, b = b, a
		}
		return operation(c.op, a, b), nil
	}
	return a, nil
}

func (p *parser) sum() (*tree, error) {
	a, err := p.product()
	for err == nil {
		op := opAdd
		if p.accept("-") {
			op = opSub
		} else if !p.accept("+") {
			break
		}
		var b *tree
		if b, err = p.product(); err == nil {
			a = operation(op, a, b)
		}
	}
	return a, err
}

func (p *parser) product() (*tree, error) {
	a, err := p.unary()
	for err == nil {
		op := opMul
		if p.accept("/") {
			op = opDiv
		} else if !p.accept("*") {
			break
		}
		var b *tree
		if b, err = p.unary(); err == nil {
			a = operation(op, a, b)
		}
	}
	return a, err
}

func (p *parser) unary() (*tree, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.accept("-") {
		a, err := p.unary()
		if err != nil {
			return nil, err
		}
		return operation(opNeg, a, nil), nil
	}
	if p.accept("(") {
		t, err := p.choice()
		if err == nil && !p.accept(")") {
			err = p.want(`")"`)
		}
		return t, err
	}
	p.space()
	if p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case digit(c) || c == '.':
			return p.number()
		case letter(c):
			return p.name()
		}
	}
	return nil, p.want("a number, a name, - or (")
}

func (p *parser) number() (*tree, error) {
	start := p.at
	hex := strings.HasPrefix(p.src[p.at:], "0x")
	for ; p.at < len(p.src); p.at++ {
		c := p.src[p.at]
		exponent := !hex && (c == '+' || c == '-') && strings.ContainsRune("eE", rune(p.src[p.at-1]))
		if !letter(c) && !digit(c) && c != '.' && !exponent {
			break
		}
	}
	word := p.src[start:p.at]
	var v float64
	var err error
	if hex {
		var u uint64
		u, err = strconv.ParseUint(word[2:], 16, 64)
		v = float64(u)
	} else {
		v, err = strconv.ParseFloat(word, 64)
	}
	if err != nil || math.IsInf(v, 0) || strings.Contains(word, "_") {
		return nil, &Error{start + 1, fmt.Sprintf("want a number, got %q", word)}
	}
	return number(v), nil
}

func (p *parser) name() (*tree, error) {
	start := p.at
	for p.at < len(p.src) && (letter(p.src[p.at]) || digit(p.src[p.at])) {
		p.at++
	}
	name := p.src[start:p.at]
	if p.accept("(") {
		return p.call(name, start)
	}
	if i, ok := p.slot(name); ok {
		return &tree{op: opSlot, slot: i}, nil
	}
	return nil, &Error{start + 1, fmt.Sprintf("unknown name %q", name)}
}

func (p *parser) call(name string, start int) (*tree, error) {
	f, ok := functions[name]
	if !ok {
		return nil, &Error{start + 1, fmt.Sprintf("unknown function %q, want one of %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))}
	}
	var args [2]*tree
	for i := range f.arity {
		if i > 0 && !p.accept(",") {
			return nil, p.want(fmt.Sprintf(`"," (%s takes %d values)`, name, f.arity))
		}
		var err error
		if args[i], err = p.choice(); err != nil {
			return nil, err
		}
	}
	if !p.accept(")") {
		return nil, p.want(fmt.Sprintf(`")" (%s takes %d values)`, name, f.arity))
	}
	return operation(f.op, args[0], args[1]), nil
}

func (p *parser) accept(sign string) bool {
	p.space()
	if !strings.HasPrefix(p.src[p.at:], sign) {
		return false
	}
	p.at += len(sign)
	return true
}

func (p *parser) space() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) want(what string) error {
	p.space()
	got := "the end"
	if p.at < len(p.src) {
		r := []rune(p.src[p.at:])
		got = strconv.QuoteRune(r[0])
	}
	return &Error{p.at + 1, fmt.Sprintf("want %s, got %s", what, got)}
}

func (p *parser) enter() error {
	if p.depth++; p.depth > 2*maxNesting { // a level is one choice and one unary
		return &Error{p.at + 1, fmt.Sprintf("nested deeper than %d", maxNesting)}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func letter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
