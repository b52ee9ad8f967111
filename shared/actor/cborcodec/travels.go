package cborcodec

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

var (
	marshaler   = reflect.TypeFor[cbor.Marshaler]()
	unmarshaler = reflect.TypeFor[cbor.Unmarshaler]()
)

// travels names the first part of T that would not arrive as it was sent.
func travels[T any]() error {
	w := walk{seen: make(map[reflect.Type]bool)}
	t := reflect.TypeFor[T]()
	return w.check(t, t.String())
}

type walk struct{ seen map[reflect.Type]bool }

func (w *walk) check(t reflect.Type, at string) error {
	if w.seen[t] || t.PkgPath() == "time" && t.Name() == "Time" {
		return nil
	}
	w.seen[t] = true
	if t.Kind() == reflect.Struct {
		// First, since the methods of an embedded field would pass for the whole's.
		if err := w.names(t, at); err != nil {
			return err
		}
	}
	if p := reflect.PointerTo(t); p.Implements(marshaler) && p.Implements(unmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("%s: %s does not travel", at, t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return w.check(t.Elem(), at+"[]")
	case reflect.Map:
		if err := w.check(t.Key(), at+" key"); err != nil {
			return err
		}
		return w.check(t.Elem(), at+"[]")
	case reflect.Struct:
		return w.fields(t, at)
	}
	return nil
}

// names refuses a struct whose fields would hide or replace one another.
func (w *walk) names(t reflect.Type, at string) error {
	taken := make(map[string]string)
	for f := range t.Fields() {
		if f.Anonymous {
			return fmt.Errorf("%s.%s: an embedded field does not travel, give it a name", at, f.Name)
		}
		if left(f) || !f.IsExported() {
			continue
		}
		tag, ok := f.Tag.Lookup("cbor")
		if !ok {
			tag = f.Tag.Get("json") // as the cbor package does
		}
		if tag == "-" {
			return fmt.Errorf("%s.%s: left out of JSON, want `cbor:\"-\"` or a name", at, f.Name)
		}
		name, _, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if other, ok := taken[name]; ok {
			return fmt.Errorf("%s.%s: travels as %q, and so does %s", at, f.Name, name, other)
		}
		taken[name] = f.Name
	}
	return nil
}

// left reports whether a field is left out on purpose.
func left(f reflect.StructField) bool { return f.Name == "_" || f.Tag.Get("cbor") == "-" }

func (w *walk) fields(t reflect.Type, at string) error {
	for f := range t.Fields() {
		inner := at + "." + f.Name
		if left(f) {
			continue
		}
		if !f.IsExported() {
			return fmt.Errorf("%s: an unexported field does not travel", inner)
		}
		if err := w.check(f.Type, inner); err != nil {
			return err
		}
	}
	return nil
}
