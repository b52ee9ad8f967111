package config

import (
	"cmp"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Decode fills the struct that into points to. A field takes the key of its
// tag `yaml:"name"`, or `yaml:"name,required"`; fields without the tag are not
// touched. Keys that the document lacks leave their fields as they are, so
// defaults are set before. Numbers, durations and sizes may be bounded by a
// tag `range:"1ms..1h"`, either side may be left out.
//
// Types: string, bool, integers (also 0x2a), floats, time.Duration (never
// negative), Size, encoding.TextUnmarshaler (of any scalar, its text as
// written), structs, pointers, slices, and maps with string keys. The first
// fault in the order of the document is returned, as an *Error; into is then
// half filled.
func (d *Document) Decode(into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic("BUG: config: Decode wants a pointer to a struct")
	}
	return d.decode(d.root, v.Elem(), "")
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	sizeType        = reflect.TypeFor[Size]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (d *Document) decode(n *node, v reflect.Value, bounds string) error {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if err := d.decode(n, p.Elem(), bounds); err != nil {
			return err
		}
		v.Set(p)
		return nil
	}
	switch {
	case v.Type() == durationType || v.Type() == sizeType:
		return d.decodeScalar(n, v, bounds)
	case reflect.PointerTo(v.Type()).Implements(unmarshalerType):
		return d.decodeText(n, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.decodeStruct(n, v)
	case reflect.Slice:
		return d.decodeList(n, v, bounds)
	case reflect.Map:
		return d.decodeMap(n, v, bounds)
	}
	return d.decodeScalar(n, v, bounds)
}

func (d *Document) decodeText(n *node, v reflect.Value) error {
	if n.kind != text && n.kind != number && n.kind != boolean {
		return d.errorAt(n, "want one value, got %s", n)
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text)); err != nil {
		return d.errorAt(n, "%v", err)
	}
	return nil
}

func (d *Document) decodeStruct(n *node, v reflect.Value) error {
	if n.kind != mapping {
		return d.errorAt(n, "want the keys %s, got %s", keyNames(v.Type()), n)
	}
	given := make(map[string]bool, len(n.keys))
	for _, k := range n.keys {
		f, ok := fieldOf(v.Type(), k.name)
		if !ok {
			return &Error{d.file, k.line, k.column, k.name, "unknown, want one of " + keyNames(v.Type())}
		}
		given[k.name] = true
		if err := d.decode(k.value, v.FieldByIndex(f.Index), f.Tag.Get("range")); err != nil {
			return err
		}
	}
	for i := range v.NumField() {
		name, required := tagOf(v.Type().Field(i))
		if required && !given[name] {
			return &Error{d.file, n.line, n.column, name, "missing"}
		}
	}
	return nil
}

func (d *Document) decodeList(n *node, v reflect.Value, bounds string) error {
	if n.kind != list {
		return d.errorAt(n, "want a list, got %s", n)
	}
	s := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		if err := d.decode(item, s.Index(i), bounds); err != nil {
			return err
		}
	}
	v.Set(s)
	return nil
}

func (d *Document) decodeMap(n *node, v reflect.Value, bounds string) error {
	if v.Type().Key().Kind() != reflect.String {
		panic("BUG: config: map keys are strings")
	}
	if n.kind != mapping {
		return d.errorAt(n, "want keys and values, got %s", n)
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.keys))
	for _, k := range n.keys {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := d.decode(k.value, item, bounds); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(k.name).Convert(v.Type().Key()), item)
	}
	v.Set(m)
	return nil
}

func (d *Document) decodeScalar(n *node, v reflect.Value, bounds string) error {
	want := wanted(v)
	if bounds != "" {
		low, high, _ := strings.Cut(bounds, "..")
		switch {
		case high == "":
			want += ", at least " + low
		case low == "":
			want += ", at most " + high
		default:
			want += " from " + low + " to " + high
		}
	}
	if err := scan(n, v); err != nil || !inside(v, bounds) {
		if v.Kind() == reflect.String && (n.kind == number || n.kind == boolean) {
			want += " (in quotes, because it reads as another type)"
		}
		return d.errorAt(n, "want %s, got %s", want, n)
	}
	return nil
}

// wanted says in an error what a value of the type looks like.
func wanted(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return "a duration such as 500ms"
	case v.Type() == sizeType:
		return "a size such as 64KiB"
	}
	switch v.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.Uint8:
		return "an integer of one byte such as 0x2a"
	case reflect.Uint16:
		return "an integer of two bytes such as 0x2a"
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return "an integer, not negative"
	}
	if k := v.Kind(); k == reflect.Int8 || k == reflect.Int16 || k == reflect.Int32 {
		return fmt.Sprintf("an integer of %d bits", v.Type().Bits())
	}
	return "an integer"
}

// scan reads one scalar into v; the error says only that it could not.
func scan(n *node, v reflect.Value) error {
	wantKind := number
	switch v.Kind() {
	case reflect.String:
		wantKind = text
	case reflect.Bool:
		wantKind = boolean
	}
	loose := v.Type() == durationType || v.Type() == sizeType
	if n.kind != wantKind && !(loose && (n.kind == text || n.kind == number)) {
		return strconv.ErrSyntax
	}
	switch {
	case v.Type() == durationType:
		t, err := parseDuration(n.text)
		v.SetInt(int64(t))
		return err
	case v.Type() == sizeType:
		s, err := parseSize(n.text)
		v.SetInt(int64(s))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.text)
	case reflect.Bool:
		v.SetBool(n.text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := parseInt(n.text, v.Type().Bits())
		v.SetInt(i)
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := parseUint(n.text, v.Type().Bits())
		v.SetUint(u)
		return err
	case reflect.Float32, reflect.Float64:
		f, err := parseFloat(n.text)
		v.SetFloat(f)
		return err
	default:
		panic("BUG: config: cannot decode into " + v.Type().String())
	}
	return nil
}

// inside compares v with bounds such as "1ms..1h", of v's own type.
func inside(v reflect.Value, bounds string) bool {
	low, high, _ := strings.Cut(bounds, "..")
	return (low == "" || compare(v, low) >= 0) && (high == "" || compare(v, high) <= 0)
}

func compare(v reflect.Value, bound string) int {
	b := reflect.New(v.Type()).Elem()
	if err := scan(&node{kind: number, text: bound}, b); err != nil {
		panic("BUG: config: range bound " + bound + " of a " + v.Type().String())
	}
	switch {
	case v.CanInt():
		return cmp.Compare(v.Int(), b.Int())
	case v.CanUint():
		return cmp.Compare(v.Uint(), b.Uint())
	}
	return cmp.Compare(v.Float(), b.Float())
}

func tagOf(f reflect.StructField) (name string, required bool) {
	name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name, option == "required"
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if name, _ := tagOf(t.Field(i)); name != "" && name != "-" && name == key {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

// keyNames lists the keys of a struct in the order of its fields.
func keyNames(t reflect.Type) string {
	var names []string
	for i := range t.NumField() {
		if name, _ := tagOf(t.Field(i)); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%w: %q", strconv.ErrSyntax, s)
	}
	return f, nil
}
