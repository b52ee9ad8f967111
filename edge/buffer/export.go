package buffer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Export writes what a store holds that no buffer has open: the schemas and
// clocks of all runs, then their frames and gaps run by run, as items of a CBOR
// sequence, as they go onto a lane. It returns the number of values that are
// damaged, which it leaves out. It changes nothing in the store.
func Export(ctx context.Context, store Store, w io.Writer) (damaged int, err error) {
	e := export{ctx: ctx, store: store, w: w}
	for _, kind := range []byte{keySchema, keyClock} {
		if err := e.messages(kind, nil); err != nil {
			return e.damaged, fmt.Errorf("buffer: export: %w", err)
		}
	}
	err = e.each([]byte{keySegment}, func(value []byte) error {
		_, err := w.Write(value) // the items of a segment are stored as on a lane
		return err
	})
	if err != nil {
		err = fmt.Errorf("buffer: export: %w", err)
	}
	return e.damaged, err
}

// ExportQuarantine is Export for the frames that the gate refused, with the
// schemas and clocks of their runs as far as the store still has them.
func ExportQuarantine(ctx context.Context, store Store, w io.Writer) (damaged int, err error) {
	e := export{ctx: ctx, store: store, w: w}
	var runs []id.Run
	err = store.Scan([]byte{keyQuarantine}, func(key []byte, _ int64) error {
		if run := id.Run(key[1:runKeyLen]); !slices.Contains(runs, run) {
			runs = append(runs, run)
		}
		return nil
	})
	for _, kind := range []byte{keySchema, keyClock} {
		for _, run := range runs {
			if err == nil {
				err = e.messages(kind, run[:])
			}
		}
	}
	if err == nil {
		err = e.messages(keyQuarantine, nil)
	}
	if err != nil {
		err = fmt.Errorf("buffer: export: %w", err)
	}
	return e.damaged, err
}

// export is one Export.
type export struct {
	ctx     context.Context
	store   Store
	w       io.Writer
	damaged int
}

// messages writes the values of a kind, each of which is one message.
func (e *export) messages(kind byte, of []byte) error {
	return e.each(append([]byte{kind}, of...), func(value []byte) error {
		_, err := e.w.Write(wire.AppendItem(nil, value))
		return err
	})
}

// each calls write for every value below prefix that is as it was written.
func (e *export) each(prefix []byte, write func(value []byte) error) error {
	return e.store.Scan(prefix, func(key []byte, _ int64) error {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		value, err := e.store.Get(key)
		if err == nil {
			value, err = unseal(key, value)
		}
		if errors.Is(err, errCorrupt) || errors.Is(err, ErrNotFound) {
			e.damaged++
			return nil
		}
		if err != nil {
			return err
		}
		return write(value)
	})
}
