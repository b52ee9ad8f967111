package profile

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atrium-iot/atrium/shared/wire"
)

const door = `id: acme.door
version: 2
bus: {type: gpio}
every: 100ms
lines:
  lock: {direction: out, safe: high}
  bell: {direction: out}
  open: {direction: in, pull: up}
raw:
  l: {line: lock}
  o: {line: open}
points:
  - {name: locked, expr: l, kind: boolean}
  - {name: open, expr: 1-o, kind: boolean}
commands:
  ring:
    do:
      - {line: bell, level: "1", hold: 500ms}
      - {line: bell, level: "0"}
  warn:
    args: {level: {range: [0, 10]}, night: {kind: boolean}}
    do: [{line: bell, level: "night ? 0 : level/level > 0"}]
    confirm: shadow
    idempotent: true
`

func TestAGPIOProfileCompilesToLinesAndCommands(t *testing.T) {
	p := parse(t, door)
	if p.Bus.Type != BusGPIO || len(p.Read.Steps) != 0 || p.Read.Scratch != 3 {
		t.Errorf("bus %+v, %d steps, %d bytes of levels", p.Bus, len(p.Read.Steps), p.Read.Scratch)
	}
	lines := []Line{{Name: "bell", Output: true}, {Name: "lock", Output: true, High: true}, {Name: "open", Pull: PullUp}}
	if diff := cmp.Diff(lines, p.Lines); diff != "" {
		t.Error(diff)
	}
	commands := []Command{
		{Name: "ring", Do: []Action{{Line: 0, Hold: 500 * time.Millisecond}, {Line: 0}}},
		{
			Name: "warn", Args: []CommandArg{{Name: "level", Kind: wire.KindNumber, Max: 10}, {Name: "night", Kind: wire.KindBoolean}},
			Do: []Action{{Line: 0}}, Confirm: wire.ConfirmShadow, Idempotent: true,
		},
	}
	if diff := cmp.Diff(commands, p.Commands, cmpopts.IgnoreUnexported(Action{})); diff != "" {
		t.Error(diff)
	}
	if c, ok := p.Command("warn"); !ok || c.Name != "warn" {
		t.Errorf("Command(warn) = %v, %v", c, ok)
	}
	if _, ok := p.Command("open"); ok {
		t.Error("a command that is not there was found")
	}
}

func TestLevelsDecodeToPointsInTheOrderOfTheLines(t *testing.T) {
	p := parse(t, door)
	v := p.NewValues()
	row := []int64{7, 7}
	if q := v.Decode([]byte{0, 1, 1}, row); q != 0 || row[0] != 1 || row[1] != 0 {
		t.Errorf("locked and shut: %v, quality %b", row, q)
	}
	if q := v.Decode([]byte{1, 0, 0}, row); q != 0 || row[0] != 0 || row[1] != 1 {
		t.Errorf("unlocked and open: %v, quality %b", row, q)
	}
}

func boolean(name string, v float64) wire.Arg {
	return wire.Arg{Name: name, Value: wire.Value{Kind: wire.KindBoolean, Number: v}}
}

func number(name string, v float64) wire.Arg {
	return wire.Arg{Name: name, Value: wire.Value{Kind: wire.KindNumber, Number: v}}
}

func TestACallIsBoundInTheOrderOfTheCommandsArguments(t *testing.T) {
	c, _ := parse(t, door).Command("warn")
	values, err := c.Bind([]wire.Arg{boolean("night", 1), number("level", 2.5)})
	if err != nil || len(values) != 2 || values[0] != 2.5 || values[1] != 1 {
		t.Errorf("values %v, %v", values, err)
	}
	ring, _ := parse(t, door).Command("ring")
	if values, err := ring.Bind(nil); err != nil || len(values) != 0 {
		t.Errorf("without arguments: %v, %v", values, err)
	}
}

// I6: a call that does not fit says what does.
func TestACallThatDoesNotFitIsRefusedWithWhatIsWanted(t *testing.T) {
	const level, night = "level (a number from 0 to 10)", "night (true or false)"
	p := parse(t, door)
	for _, c := range []struct {
		command string
		args    []wire.Arg
		want    string
	}{
		{"warn", nil, "argument missing: " + level},
		{"warn", []wire.Arg{number("level", 1)}, "argument missing: " + night},
		{"warn", []wire.Arg{number("loud", 1)}, `unknown argument "loud", want ` + level + ", " + night},
		{"warn", []wire.Arg{number("level", 1), number("level", 1)}, "argument level is given twice"},
		{"warn", []wire.Arg{number("level", 10.5)}, "want " + level + ", got 10.5"},
		{"warn", []wire.Arg{number("level", -1)}, "want " + level + ", got -1"},
		{"warn", []wire.Arg{number("level", math.NaN())}, "want " + level + ", got NaN"},
		{"warn", []wire.Arg{boolean("level", 1)}, "want " + level + ", got true"},
		{"warn", []wire.Arg{number("night", 1)}, "want " + night + ", got 1"},
		{"warn", []wire.Arg{boolean("night", 2)}, "want " + night},
		{"ring", []wire.Arg{boolean("on", 0)}, `unknown argument "on", want none`},
	} {
		cmd, ok := p.Command(c.command)
		if !ok {
			t.Fatal(c.command)
		}
		values, err := cmd.Bind(c.args)
		if err == nil || values != nil || !strings.Contains(err.Error(), "command "+c.command+": "+c.want) {
			t.Errorf("%s %v = %v, %v; want %q", c.command, c.args, values, err, c.want)
		}
	}
}

func TestALevelWithoutAValueIsNoLevel(t *testing.T) {
	c, _ := parse(t, door).Command("warn")
	for _, x := range []struct {
		args     []float64
		high, ok bool
	}{{[]float64{5, 0}, true, true}, {[]float64{5, 1}, false, true}, {[]float64{0, 1}, false, true}, {[]float64{0, 0}, true, false}} {
		if high, ok := c.Do[0].High(x.args); ok != x.ok || ok && high != x.high {
			t.Errorf("level of %v = %v, %v", x.args, high, ok)
		}
	}
}

func TestAGPIOProfileIsBounded(t *testing.T) {
	var lines, commands, args strings.Builder
	for i := range maxLines {
		fmt.Fprintf(&lines, "  l%d: {direction: in}\n", i)
	}
	for i := range maxCommands {
		fmt.Fprintf(&commands, "  c%d: {do: [{line: bell, level: \"0\"}]}\n", i)
	}
	for i := range wire.MaxArgs {
		fmt.Fprintf(&args, "a%d: {kind: boolean}, ", i)
	}
	for name, c := range map[string]struct{ old, replacement, want string }{
		"lines":    {"lines:\n", "lines:\n" + lines.String(), "want 1 to 16 lines such as out: {direction: out}, got 19"},
		"commands": {"commands:\n", "commands:\n" + commands.String(), "34 commands, at most 32"},
		"args":     {"args: {", "args: {" + args.String(), "18 arguments, at most 16"},
		"actions":  {"    do:\n", "    do:\n" + strings.Repeat("      - {line: bell, level: \"0\"}\n", maxSteps), "want 1 to 64 actions"},
		"holds":    {"    do:\n", "    do:\n" + strings.Repeat("      - {line: bell, level: \"0\", hold: 10s}\n", 2), "add up to more than 20s"},
	} {
		doc := strings.Replace(door, c.old, c.replacement, 1)
		if _, err := Parse("p.yaml", []byte(doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// checkCommand binds the smallest call of a command and evaluates its levels.
func checkCommand(t *testing.T, p *Profile, c *Command) {
	t.Helper()
	var call []wire.Arg
	for _, a := range c.Args {
		call = append(call, wire.Arg{Name: a.Name, Value: wire.Value{Kind: a.Kind, Number: a.Min}})
	}
	args, err := c.Bind(call)
	if err != nil {
		t.Fatalf("the smallest call does not fit: %v", err)
	}
	if back, err := wire.ParseArgs(wire.AppendArgs(nil, call)); err != nil || len(back) != len(call) {
		t.Fatalf("the smallest call does not travel: %v, %v", back, err)
	}
	for i := range c.Do {
		c.Do[i].High(args)
		if !p.Lines[c.Do[i].Line].Output {
			t.Fatal("an action drives an input")
		}
	}
}
