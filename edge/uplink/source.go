package uplink

import (
	"context"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Source is the buffer as the uplink sees it; FromBuffer makes one.
type Source interface {
	// Connect begins a session, perhaps while another still sends; Welcomed says
	// that a session's hello is in the journal. Disconnect says that nothing is taken for
	// now, and Resume that it is again.
	Connect() (buffer.Session, error)
	Welcomed(s buffer.Session)
	Disconnect()
	Resume()
	// Cursor reads a run from its first unacked frame.
	Cursor(run id.Run) Cursor
	// Ack says that the run's frames up to seq are durable in the cloud.
	Ack(run id.Run, seq uint64)
	// Reject puts a gap in the place of a frame that the gate refused;
	// buffer.ErrNotAFrame if there is one already.
	Reject(run id.Run, seq uint64, reason wire.RejectReason) error
}

// Cursor reads one run in order. It is used by one goroutine at a time.
type Cursor interface {
	// Next waits for an item; io.EOF ends a closed run.
	Next(ctx context.Context) (buffer.Item, error)
	// Rewind makes seq the next item; resend forgets which schemas and clocks
	// were given out.
	Rewind(seq uint64, resend bool)
}

// Commands is what executes commands: *command.Executor. Its methods do not
// wait for a device.
type Commands interface {
	// Take takes a command, perhaps not for the first time.
	Take(c wire.Command)
	// Unsettled returns the results that the cloud has not settled, oldest
	// first, with their ages as of now; at most wire.MaxSettled.
	Unsettled() []wire.Result
	// Changed is closed when what Unsettled returns changes.
	Changed() <-chan struct{}
	// Settled says that the cloud has these results for good.
	Settled(ids []id.Command)
}

// FromBuffer returns b as a Source.
func FromBuffer(b *buffer.Buffer) Source { return source{b} }

type source struct{ *buffer.Buffer }

func (s source) Cursor(run id.Run) Cursor { return s.Buffer.Cursor(run) }
