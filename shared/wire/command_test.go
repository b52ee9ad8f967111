package wire_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func number(name string, x float64) wire.Arg {
	return wire.Arg{Name: name, Value: wire.Value{Kind: wire.KindNumber, Number: x}}
}

// I6: what a gateway's own code might do with a bad command never begins.
func TestACommandOutsideTheContractIsRefusedWithThePlace(t *testing.T) {
	many := make([]wire.Arg, wire.MaxArgs+1)
	for i := range many {
		many[i] = number("a"+string(rune('a'+i)), 1)
	}
	good := wire.Command{Device: id.Device{Site: "hq", Name: "r1"}, Name: "set", Remaining: wire.MaxRemaining, Args: many[:wire.MaxArgs]}
	if _, err := wire.ParseCommand(good.Append(nil)); err != nil {
		t.Fatal(err)
	}
	for at, change := range map[string]func(m *wire.Command){
		"remaining": func(m *wire.Command) { m.Remaining++ },
		"args":      func(m *wire.Command) { m.Args = many },
		"name":      func(m *wire.Command) { m.Name = "Set" },
		"device":    func(m *wire.Command) { m.Device.Site = "" },
		"arg name":  func(m *wire.Command) { m.Args = []wire.Arg{number("", 1)} },
		"arg value": func(m *wire.Command) { m.Args = []wire.Arg{number("x", math.NaN())} },
	} {
		m := good
		change(&m)
		wantRefused(t, m.Append(nil), at)
	}
	infinite, twice := good, good
	infinite.Args = []wire.Arg{number("x", math.Inf(-1))}
	wantRefused(t, infinite.Append(nil), "arg value")
	twice.Args = []wire.Arg{number("x", 1), number("x", 2)}
	wantRefused(t, twice.Append(nil), "arg name")
}

func wantRefused(t *testing.T, b []byte, at string) {
	t.Helper()
	var we *wire.Error
	if _, err := wire.ParseCommand(b); !errors.As(err, &we) || we.At != at {
		t.Errorf("%v, want an error at %s", err, at)
	}
}

func TestAnArgHasOneFormOnTheWire(t *testing.T) {
	arg := func(value ...int) []byte {
		b := cat(0x81, 0x82, 0x61, []byte("x"))
		for _, v := range value {
			b = append(b, byte(v))
		}
		return b
	}
	for name, b := range map[string][]byte{
		"an integer":        arg(1),
		"a half float":      arg(0xf9, 0x3c, 0),
		"a single float":    arg(0xfa, 0x3f, 0x80, 0, 0),
		"null":              arg(0xf6),
		"a long true":       arg(0xf8, 21),
		"a text":            arg(0x61, 'x'),
		"nothing":           arg(),
		"a shortened float": arg(0xfb, 0, 0, 0, 0, 0, 0, 0),
	} {
		var we *wire.Error
		if args, err := wire.ParseArgs(b); !errors.As(err, &we) || we.At != "arg value" {
			t.Errorf("%s: %v, %v", name, args, err)
		}
	}
	if _, err := wire.ParseArgs(cat(0x82, 0x82, 0x61, []byte("b"), 0xf4, 0x82, 0x61, []byte("a"), 0xf4)); err == nil {
		t.Error("args out of order were accepted")
	}
	if _, err := wire.ParseArgs(append(arg(0xf4), 0)); err == nil {
		t.Error("a byte after the args was accepted")
	}
}

func TestArgsTravelByNameAndTheCallersStayAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawArgs(t)
		mixed := rapid.Permutation(want).Draw(t, "mixed")
		before := slices.Clone(mixed)
		got, err := wire.ParseArgs(wire.AppendArgs(nil, mixed))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before, mixed); diff != "" {
			t.Fatalf("the caller's args changed: %s", diff)
		}
	})
}

func TestOnlyWhatIsDoneIsConfirmed(t *testing.T) {
	m := wire.Result{State: wire.ResultFailed, Confirmed: wire.ConfirmSensor}
	var we *wire.Error
	if _, err := wire.ParseResult(m.Append(nil)); !errors.As(err, &we) || we.At != "confirmed" {
		t.Fatalf("%v, want an error at confirmed", err)
	}
}

// A result that cannot be read would end each connection of its gateway, as it
// comes again on each.
func TestAnyResultThatAGatewayMakesCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := string(rapid.SliceOfN(rapid.Byte(), 0, 2*wire.MaxText).Draw(t, "raw"))
		text := rapid.SampledFrom([]string{raw, strings.Repeat("é", wire.MaxText), "x" + strings.Repeat("€", wire.MaxText)}).Draw(t, "text")
		m := wire.Result{State: wire.ResultFailed, Ago: rapid.Uint64().Draw(t, "ago"), Text: text}
		got, err := wire.ParseResult(m.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got.Ago != min(m.Ago, wire.MaxAgo) {
			t.Fatalf("ago %d became %d", m.Ago, got.Ago)
		}
		whole := strings.ToValidUTF8(text, "\ufffd")
		if !strings.HasPrefix(whole, got.Text) || len(got.Text) < min(len(whole), wire.MaxText-utf8.UTFMax+1) {
			t.Fatalf("%q became %q", text, got.Text)
		}
	})
}
