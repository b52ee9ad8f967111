package actor

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

// remoteName is the dispatcher under which references to other nodes count.
const remoteName = "remote"

// RefAt returns a reference to an actor of this node or, through the system's
// transport, of another one. An empty pid.Address is found out by the first
// message; a wrong one is corrected by the transport, once a message. Here the
// actor must exist and take messages of type M. The codec is the one of the
// actor's props.
//
// To an actor of another node:
//
//   - Tell and TellBatch put the encoded messages into an outbox, one a node,
//     bounded in messages and bytes, and return: ErrMailboxFull when it has no
//     room. From then on each is either put into the actor's mailbox, once, or a
//     dead letter here, with its reason. Messages of one sender on one lane
//     arrive in order, also when the actor moves. A dead letter "unconfirmed"
//     may have arrived: the network lost it, or the receipt.
//   - TellWait returns when the message is in the actor's mailbox. Errors that
//     wrap ErrUnconfirmed leave that open, all others rule it out.
//   - Ask brings an answer. Beside ErrUnconfirmed, the end of its time, ErrStopped
//     and ErrCodec leave open whether the question was handled. Neither takes more
//     than a minute.
//   - Waiting is the messages in the outbox. Stop, Poison and Watch return
//     ErrElsewhere, and Stopped a nil channel: an actor's life is its node's
//     matter.
//
// Two references to one remote actor need not be equal; their PIDs are, once
// both have found it.
func RefAt[M any](e *Engine, pid PID, codec *Codec[M]) (Ref[M], error) {
	if err := codec.Check(); err != nil {
		return Ref[M]{}, fmt.Errorf("actor: ref to %s: %w", pid, err)
	}
	if pid.ID == "" || len(pid.ID) > MaxID {
		return Ref[M]{}, fmt.Errorf("actor: ref to %s: want an id of 1 to %d bytes, got %d", pid, MaxID, len(pid.ID))
	}
	if pid.Address == e.system.address {
		return refHere[M](e, pid)
	}
	if e.system.courier == nil {
		return Ref[M]{}, fmt.Errorf("actor: ref to %s: this system has no transport: %w", pid, ErrElsewhere)
	}
	return Ref[M]{cell: remoteCell(e, codec, pid, pid.Address)}, nil
}

// remoteCell makes a cell that stands for an actor of another node.
func remoteCell[M any](e *Engine, codec *Codec[M], told PID, address string) *cell[M] {
	a := &cell[M]{kind: remoteKind(e, codec), id: told.ID, gate: elsewhere}
	if e.system.guard != nil {
		a.gate |= guarded
	}
	a.cold = &cold[M]{place: &place{told: told, address: address}}
	return a
}

func refHere[M any](e *Engine, pid PID) (Ref[M], error) {
	found, ok := e.find(pid.ID)
	if !ok {
		return Ref[M]{}, fmt.Errorf("actor: ref to %s: %w", pid, ErrStopped)
	}
	a, ok := found.(*cell[M])
	if !ok {
		return Ref[M]{}, fmt.Errorf("actor: ref to %s: it takes no messages of type %s", pid, reflect.TypeFor[M]())
	}
	return Ref[M]{cell: a}, nil
}

// remoteKind is what the references with one codec share.
func remoteKind[M any](e *Engine, codec *Codec[M]) *kind[M] {
	key := kindKey{message: reflect.TypeFor[M](), settings: settings{dispatcher: remoteName, codec: codec}}
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.kinds[key].(*kind[M])
	if !ok {
		k = &kind[M]{system: e.system, codec: codec, remote: true, stats: e.system.metrics.of(remoteName, codec.Name)}
		e.kinds[key] = k
	}
	return k
}

// encode makes the message that travels.
func (a *cell[M]) encode(lane Lane, msg M) (envelope.Message, error) {
	codec := a.kind.codec
	body, err := codec.Append(nil, msg)
	if err == nil && len(body) > envelope.MaxBody {
		err = fmt.Errorf("want at most %d bytes, got %d", envelope.MaxBody, len(body))
	}
	if err != nil {
		return envelope.Message{}, fmt.Errorf("%w: %q: %w", ErrCodec, codec.Name, err)
	}
	return envelope.Message{ID: a.id, Type: codec.Name, Lane: uint8(lane), Body: body}, nil
}

// tellAway is tell for an actor of another node.
func (a *cell[M]) tellAway(lane Lane, msg M) error {
	m, err := a.encode(lane, msg)
	if err == nil {
		_, err = a.kind.system.courier.tell(a.cold.place, lane, a.kind.stats, m)
	}
	if err != nil {
		return a.refuse(err, 1)
	}
	return nil
}

// tellBatchAway is tellBatch for an actor of another node. What follows a
// message that can't be encoded is not accepted.
func (a *cell[M]) tellBatchAway(lane Lane, msgs []M) (accepted int, err error) {
	messages := make([]envelope.Message, 0, min(len(msgs), envelope.MaxBatch))
	for part := range slices.Chunk(msgs, envelope.MaxBatch) {
		messages = messages[:0]
		var bad error
		for _, msg := range part {
			var m envelope.Message
			if m, bad = a.encode(lane, msg); bad != nil {
				break
			}
			messages = append(messages, m)
		}
		n, err := a.kind.system.courier.tell(a.cold.place, lane, a.kind.stats, messages...)
		accepted += n
		if err == nil {
			err = bad
		}
		if err != nil {
			return accepted, a.refuse(err, len(msgs)-accepted)
		}
	}
	return accepted, nil
}

// tellWaitAway is tellWait for an actor of another node.
func (a *cell[M]) tellWaitAway(ctx context.Context, lane Lane, msg M) error {
	m, err := a.encode(lane, msg)
	if err == nil {
		_, err = a.deliver(ctx, envelope.Wait, m)
	}
	if err != nil {
		return a.refuse(err, 1)
	}
	a.kind.stats.handled(1)
	return nil
}

// deliver waits for the receipt of a message.
func (a *cell[M]) deliver(ctx context.Context, mode envelope.Mode, m envelope.Message) ([]byte, error) {
	receipt, err := a.kind.system.courier.deliver(ctx, a.cold.place, mode, m)
	if err == nil {
		err = errorOf(receipt)
	}
	return receipt.Body, err
}

// askAway is Ask for an actor of another node. The message is encoded without
// the way back, which the codec makes anew over there.
func askAway[R, M any](ctx context.Context, to Ref[M], build func(Reply[R]) M) (answer R, err error) {
	a := to.cell
	a.mu.Lock()
	_, err = a.passLocked(ctx)
	a.mu.Unlock()
	if err != nil {
		return answer, a.refuse(err, 1)
	}
	w, err := wayOf[R](a.kind.codec)
	if err != nil {
		return answer, a.refuse(err, 1)
	}
	m, err := a.encode(to.lane, build(Reply[R]{}))
	if err != nil {
		return answer, a.refuse(err, 1)
	}
	m.Answer = w.name
	body, err := a.deliver(ctx, envelope.Ask, m)
	if err != nil {
		return answer, a.refuse(err, 1)
	}
	a.kind.stats.handled(1)
	return w.read(body)
}
