package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// lane writes runs to one stream.
type lane struct {
	kind    wire.Lane
	source  Source
	flight  *flight
	metrics laneMetrics
	sent    *atomic.Uint64 // bytes of messages, of all lanes

	// writing, when filled, is the right to write a message: one at a time. It is
	// a channel because whoever waits for it waits for the network, which
	// synctest knows of a channel and not of a mutex.
	writing chan struct{}
	stream  io.Writer
	buf     []byte
}

// openLane opens the lane's stream and says which lane it is.
func openLane(ctx context.Context, conn carrier.Conn, l *lane) error {
	stream, err := conn.OpenLane(ctx, l.kind)
	if err != nil {
		return fmt.Errorf("%s lane: %w", l.kind, err)
	}
	l.stream = stream
	start := wire.LaneStart{Lane: l.kind}
	if _, err := stream.Write(wire.AppendItem(nil, start.Append(nil))); err != nil {
		return fmt.Errorf("%s lane: %w", l.kind, err)
	}
	return nil
}

// sideBySide sends runs at the same time, and those of more that are new, until
// ctx ends.
func (l *lane) sideBySide(ctx context.Context, runs []id.Run, more <-chan []id.Run) error {
	g, ctx := errgroup.WithContext(ctx)
	started := map[id.Run]bool{}
	for {
		for _, run := range runs {
			if !started[run] {
				started[run] = true
				g.Go(func() error { return l.inTurn(ctx, []id.Run{run}) })
			}
		}
		select {
		case runs = <-more:
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// inTurn sends runs one after another, then whichever the gate rejects after
// its end, until ctx ends. An open run has no end.
func (l *lane) inTurn(ctx context.Context, runs []id.Run) error {
	cursors := make(map[id.Run]Cursor, len(runs))
	l.flight.drain(l.kind, len(runs) > 0)
	for _, run := range runs {
		cursors[run] = l.source.Cursor(run)
		if err := l.pump(ctx, run, cursors[run]); err != nil {
			return err
		}
	}
	l.flight.drain(l.kind, false)
	for {
		run, err := l.flight.waitRewind(ctx, runs)
		if err != nil {
			return err
		}
		if err := l.pump(ctx, run, cursors[run]); err != nil {
			return err
		}
	}
}

// pump sends a run, beginning again where a reject says, until the run is
// closed and given out to its end.
func (l *lane) pump(ctx context.Context, run id.Run, cursor Cursor) error {
	for {
		turn, back := l.flight.turn(ctx, l.kind, run)
		if back != nil {
			cursor.Rewind(back.seq, back.resend)
		}
		err := l.send(ctx, turn, run, cursor)
		switch {
		case errors.Is(context.Cause(turn), errRewound) && ctx.Err() == nil:
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return fmt.Errorf("%s lane: run %s: %w", l.kind, run, err)
		}
	}
}

// send sends items until turn ends. ctx is the connection's: a frame that has
// begun is written whole.
func (l *lane) send(ctx, turn context.Context, run id.Run, cursor Cursor) error {
	for {
		item, err := cursor.Next(turn)
		if err != nil {
			return err
		}
		// One message at a time: all of an item need not fit the credit at once.
		for _, msg := range item.Before {
			if err := l.flight.announce(turn, l.kind, uint64(len(msg))); err != nil {
				return err
			}
			if err := l.write(msg, func(int) error { return nil }); err != nil {
				return err
			}
		}
		if err := l.flight.start(turn, run, item.Last, uint64(len(item.Frame))); err != nil {
			return err
		}
		pace := func(n int) error { return l.flight.pace(ctx, run, item.Last, uint64(n)) }
		if err := l.write(item.Frame, pace); err != nil {
			return err
		}
		l.metrics.frames.Inc()
	}
}

// write writes a message in pieces, each when pace says so.
func (l *lane) write(msg []byte, pace func(n int) error) error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	l.buf = wire.AppendItem(l.buf[:0], msg)
	for rest := l.buf; len(rest) > 0; {
		n := l.flight.piece(l.kind, len(rest))
		if err := pace(n); err != nil {
			return err
		}
		if _, err := l.stream.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	l.metrics.bytes.Add(float64(len(msg)))
	l.sent.Add(uint64(len(msg)))
	return nil
}
