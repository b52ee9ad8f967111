package profile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile/expr"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Command is something that a device can be told to do.
type Command struct {
	Name string
	Args []CommandArg // sorted by name
	Do   []Action     // in order
	// Confirm is how it is known, without an error, that the command was done.
	Confirm wire.Confirm
	// Idempotent says that doing it twice is as good as once, so that it may be
	// repeated when nobody knows whether it was done.
	Idempotent bool
}

// CommandArg is an argument that a command needs.
type CommandArg struct {
	Name     string
	Kind     wire.ColumnKind // wire.KindBoolean or wire.KindNumber
	Min, Max float64         // of a number
}

// String says what is wanted: "on (true or false)".
func (a *CommandArg) String() string {
	if a.Kind == wire.KindBoolean {
		return a.Name + " (true or false)"
	}
	return fmt.Sprintf("%s (a number from %g to %g)", a.Name, a.Min, a.Max)
}

// Action drives one line.
type Action struct {
	Line int           // in Profile.Lines, an output
	Hold time.Duration // before the next action

	level *expr.Program
}

// High says whether the action drives its line high. args are what Bind made
// of the command's arguments; ok is false when the level has no value for
// them. High does not allocate.
func (a *Action) High(args []float64) (high, ok bool) {
	x := a.level.Run(args)
	return x != 0, x == x
}

// Command returns the command of that name, false if there is none.
func (p *Profile) Command(name string) (*Command, bool) {
	for i := range p.Commands {
		if p.Commands[i].Name == name {
			return &p.Commands[i], true
		}
	}
	return nil, false
}

// Bind checks the arguments of a call and returns their values in the order of
// Args. The error names the argument and what is wanted.
func (c *Command) Bind(args []wire.Arg) ([]float64, error) {
	values := make([]float64, len(c.Args))
	given := make([]bool, len(c.Args))
	for _, a := range args {
		i := slices.IndexFunc(c.Args, func(want CommandArg) bool { return want.Name == a.Name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("profile: command %s: unknown argument %q, want %s", c.Name, a.Name, c.usage())
		case given[i]:
			return nil, fmt.Errorf("profile: command %s: argument %s is given twice", c.Name, a.Name)
		case !c.Args[i].takes(a.Value):
			return nil, fmt.Errorf("profile: command %s: want %s, got %s", c.Name, &c.Args[i], valueText(a.Value))
		}
		values[i], given[i] = a.Value.Number, true
	}
	if i := slices.Index(given, false); i >= 0 {
		return nil, fmt.Errorf("profile: command %s: argument missing: %s", c.Name, &c.Args[i])
	}
	return values, nil
}

func (a *CommandArg) takes(v wire.Value) bool {
	switch {
	case a.Kind != v.Kind:
		return false
	case a.Kind == wire.KindBoolean:
		return v.Number == 0 || v.Number == 1
	}
	return v.Number >= a.Min && v.Number <= a.Max // NaN is not
}

// usage lists the arguments.
func (c *Command) usage() string {
	if len(c.Args) == 0 {
		return "none"
	}
	all := make([]string, len(c.Args))
	for i := range c.Args {
		all[i] = c.Args[i].String()
	}
	return strings.Join(all, ", ")
}

func valueText(v wire.Value) string {
	if v.Kind == wire.KindBoolean {
		return fmt.Sprint(v.Number != 0)
	}
	return fmt.Sprintf("%g", v.Number)
}

// commands compiles the commands.
func (c *compiler) commands() error {
	if n := len(c.in.Commands); n > maxCommands {
		return c.doc.Errorf("$.commands", "%d commands, at most %d", n, maxCommands)
	}
	for _, name := range slices.Sorted(maps.Keys(c.in.Commands)) {
		in := c.in.Commands[name]
		cmd, err := c.command(config.Join("$.commands", name), name, &in)
		if err != nil {
			return err
		}
		c.out.Commands = append(c.out.Commands, cmd)
	}
	return nil
}

func (c *compiler) command(path, name string, in *commandDoc) (Command, error) {
	out := Command{Name: name, Idempotent: in.Idempotent}
	if !word(name) {
		return out, c.doc.Errorf(path, "name %q: want a-z first, then a-z, 0-9 or _, at most %d", name, maxName)
	}
	if n := len(in.Args); n > wire.MaxArgs {
		return out, c.doc.Errorf(config.Join(path, "args"), "%d arguments, at most %d", n, wire.MaxArgs)
	}
	names := make(map[string]int, len(in.Args))
	for _, name := range slices.Sorted(maps.Keys(in.Args)) {
		arg := in.Args[name]
		a, err := c.arg(config.Join(config.Join(path, "args"), name), name, &arg)
		if err != nil {
			return out, err
		}
		names[name] = len(out.Args)
		out.Args = append(out.Args, a)
	}
	switch in.Confirm {
	case "":
	case "shadow":
		out.Confirm = wire.ConfirmShadow
	default:
		return out, c.doc.Errorf(config.Join(path, "confirm"), "want shadow, or nothing when it is not known that the command was done, got %q", in.Confirm)
	}
	var err error
	out.Do, err = c.actions(config.Join(path, "do"), in.Do, names)
	return out, err
}

// word is the grammar of names that travel (shared/wire).
func word(s string) bool {
	_, err := id.ParsePoint(s)
	return err == nil
}

func (c *compiler) arg(path, name string, in *argDoc) (CommandArg, error) {
	out := CommandArg{Name: name}
	switch {
	case !word(name):
		return out, c.doc.Errorf(path, "name %q: want a-z first, then a-z, 0-9 or _, at most %d", name, maxName)
	case expr.IsFunction(name):
		return out, c.doc.Errorf(path, "name %q is a function's", name)
	}
	rangePath := config.Join(path, "range")
	switch in.Kind {
	case "boolean":
		out.Kind = wire.KindBoolean
		return out, c.absent(path, "a boolean has none", "range")
	case "", "number":
		out.Kind = wire.KindNumber
	default:
		return out, c.doc.Errorf(config.Join(path, "kind"), "want number or boolean, got %q", in.Kind)
	}
	if len(in.Range) != 2 || !(in.Range[0] < in.Range[1]) || math.IsInf(in.Range[1]-in.Range[0], 0) {
		return out, c.doc.Errorf(rangePath, "want [lowest, highest]")
	}
	out.Min, out.Max = in.Range[0], in.Range[1]
	return out, nil
}

func (c *compiler) actions(path string, in []actionDoc, names map[string]int) ([]Action, error) {
	if n := len(in); n == 0 || n > maxSteps {
		return nil, c.doc.Errorf(path, "want 1 to %d actions such as {line: out, level: \"1\"}, got %d", maxSteps, n)
	}
	out := make([]Action, len(in))
	var holds time.Duration
	for i := range in {
		at := config.Index(path, i)
		line, err := c.lineIndex(at, in[i].Line)
		if err != nil {
			return nil, err
		}
		if !c.out.Lines[line].Output {
			return nil, c.doc.Errorf(config.Join(at, "line"), "%s is an input", in[i].Line)
		}
		level, err := c.expression(config.Join(at, "level"), in[i].Level, names)
		if err != nil {
			return nil, err
		}
		out[i] = Action{Line: line, Hold: in[i].Hold, level: level}
		switch holds += in[i].Hold; {
		case holds > maxWaits:
			return nil, c.doc.Errorf(at, "the holds add up to more than %v", maxWaits)
		case in[i].Hold > 0 && i == len(in)-1:
			return nil, c.doc.Errorf(config.Join(at, "hold"), "nothing follows that could wait")
		}
	}
	return out, nil
}
