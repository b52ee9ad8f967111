package expr

// tree is a node of the parsed expression: a constant, a slot, an operation
// on one or two operands, or a choice on three.
type tree struct {
	op      opcode
	choice  bool
	slot    int
	value   float64
	a, b, c *tree
}

func (t *tree) constant() bool { return t.op == opConst && !t.choice }

func number(v float64) *tree { return &tree{op: opConst, value: v} }

// operation folds what is constant already.
func operation(op opcode, a, b *tree) *tree {
	switch {
	case b == nil && a.constant():
		return number(unary(op, a.value))
	case b != nil && a.constant() && b.constant():
		return number(binary(op, a.value, b.value))
	}
	return &tree{op: op, a: a, b: b}
}

func choose(cond, yes, no *tree) *tree {
	switch {
	case !cond.constant():
		return &tree{choice: true, a: cond, b: yes, c: no}
	case cond.value != cond.value: // NaN
		return cond
	case cond.value != 0:
		return yes
	}
	return no
}

// emitter writes code in the order of evaluation and follows the stack's depth.
type emitter struct {
	code        []instruction
	depth, high int
}

func (e *emitter) add(in instruction, change int) int {
	e.code = append(e.code, in)
	e.depth += change
	e.high = max(e.high, e.depth)
	return len(e.code) - 1
}

func (e *emitter) emit(t *tree) {
	switch {
	case t.choice:
		e.emit(t.a)
		toNo := e.add(instruction{op: opJumpFalse}, -1)
		e.emit(t.b)
		toEnd := e.add(instruction{op: opJump}, -1) // one of the two sides runs
		e.code[toNo].arg = len(e.code)
		e.emit(t.c)
		e.code[toEnd].arg = len(e.code)
	case t.op == opConst:
		e.add(instruction{op: opConst, value: t.value}, 1)
	case t.op == opSlot:
		e.add(instruction{op: opSlot, arg: t.slot}, 1)
	case t.b == nil:
		e.emit(t.a)
		e.add(instruction{op: t.op}, 0)
	default:
		e.emit(t.a)
		e.emit(t.b)
		e.add(instruction{op: t.op}, -1)
	}
}
