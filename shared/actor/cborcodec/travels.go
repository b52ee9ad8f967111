package cborcodec

import (
	"fmt"
	"reflect"

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
	if t.Implements(marshaler) && reflect.PointerTo(t).Implements(unmarshaler) {
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

func (w *walk) fields(t reflect.Type, at string) error {
	for f := range t.Fields() {
		inner := at + "." + f.Name
		if f.Name == "_" || f.Tag.Get("cbor") == "-" {
			continue
		}
		if !f.IsExported() && !f.Anonymous {
			return fmt.Errorf("%s: an unexported field does not travel", inner)
		}
		if err := w.check(f.Type, inner); err != nil {
			return err
		}
	}
	return nil
}
