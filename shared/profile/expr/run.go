package expr

import "math"

type opcode uint8

const (
	opConst opcode = iota // push value
	opSlot                // push slots[arg]
	opAdd
	opSub
	opMul
	opDiv
	opNeg
	opLess
	opLessEqual
	opEqual
	opNotEqual
	opMin
	opMax
	opAbs
	opFloor
	opSqrt
	opPow
	opJump      // go to arg
	opJumpFalse // pop; go to arg if it is zero; keep NaN and go behind the choice
)

type instruction struct {
	op    opcode
	arg   int
	value float64
}

// Run computes the expression over slots, which it only reads. Division by
// zero and what overflows in pow give NaN, not an infinity, so that min and
// max around it cannot make an ordinary number of it. NaN, which says that
// there is no value, passes through everything: a comparison with it, a choice
// by it and any function of it are NaN.
//
// Each product and sum is converted to float64 by itself: the language forbids
// the compiler to fuse across such a conversion, which it would do on arm64.
func (p *Program) Run(slots []float64) float64 {
	var s [MaxStack]float64
	n := -1 // the top of the stack
	for pc := 0; pc < len(p.code); pc++ {
		in := &p.code[pc]
		switch in.op {
		case opConst:
			n++
			s[n] = in.value
		case opSlot:
			n++
			s[n] = slots[in.arg]
		case opJump:
			pc = in.arg - 1
		case opJumpFalse:
			switch c := s[n]; {
			case c != c: // NaN stays: the jump in front of the other side leads behind both
				pc = p.code[in.arg-1].arg - 1
			case c == 0:
				pc = in.arg - 1
				n--
			default:
				n--
			}
		case opNeg, opAbs, opFloor, opSqrt:
			s[n] = unary(in.op, s[n])
		default:
			n--
			s[n] = binary(in.op, s[n], s[n+1])
		}
	}
	return s[0]
}

func unary(op opcode, x float64) float64 {
	switch op {
	case opNeg:
		return -x
	case opAbs:
		return math.Abs(x)
	case opFloor:
		return math.Floor(x)
	}
	return math.Sqrt(x)
}

func binary(op opcode, x, y float64) float64 {
	if x != x || y != y { // comparisons, min, max and pow could make a number of NaN
		return math.NaN()
	}
	switch op {
	case opAdd:
		return float64(x + y)
	case opSub:
		return float64(x - y)
	case opMul:
		return float64(x * y)
	case opDiv:
		if y == 0 {
			return math.NaN()
		}
		return x / y
	case opLess:
		return truth(x < y)
	case opLessEqual:
		return truth(x <= y)
	case opEqual:
		return truth(x == y)
	case opNotEqual:
		return truth(x != y)
	case opMin:
		return math.Min(x, y)
	case opMax:
		return math.Max(x, y)
	}
	if z := math.Pow(x, y); !math.IsInf(z, 0) {
		return z
	}
	return math.NaN()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
