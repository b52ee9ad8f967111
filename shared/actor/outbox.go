package actor

import (
	"context"
	"errors"
	"sync"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
	"github.com/atrium-iot/atrium/shared/actor/mailbox"
)

// load is what an outbox's goroutine carries at a time.
type load struct {
	parcels []parcel
	marks   []parcel
	size    int
}

// send empties an outbox, one load after another, and ends when it is empty.
func (c *courier) send(p *peer) {
	var now load
	for c.next(p, &now) {
		left := now.parcels
		switch {
		case len(left) == 0:
		case c.ctx.Err() != nil:
			c.lose(dropSystemStopped, left...)
		case p.address != "":
			c.follow(c.carry(p.address, left), true)
		default:
			c.follow(c.follow(left, false), true)
		}
	}
}

// next settles the load that was carried and takes another one, as much as a
// request holds. False ends the goroutine.
func (c *courier) next(p *peer, now *load) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, done := range [...][]parcel{now.parcels, now.marks} {
		for i := range done {
			c.settleLocked(p, &done[i])
		}
		clear(done)
	}
	*now = load{parcels: now.parcels[:0], marks: now.marks[:0], size: envelope.RequestHead}
	var batch mailbox.Batch[parcel]
	for full := false; !full; {
		most := envelope.MaxBatch - len(now.parcels) - len(now.marks)
		if most == 0 || !p.box.Take(&batch, int32(most)) {
			break
		}
		for part := batch.Next(&c.chunks); part != nil; part = batch.Next(&c.chunks) {
			n := now.add(part)
			clear(part[:n])
			if full = n < len(part); full {
				batch.Keep(n)
				break
			}
			batch.Spent()
		}
		p.box.Return(&batch, &c.chunks)
	}
	if len(now.parcels)+len(now.marks) > 0 {
		return true
	}
	p.sending = false
	c.sending--
	c.quietLocked()
	return false
}

// add takes parcels from the front while they fit, and returns how many.
func (l *load) add(part []parcel) int {
	for i := range part {
		if part[i].reached != nil {
			l.marks = append(l.marks, part[i])
			continue
		}
		if l.size += part[i].message.Size(); l.size > envelope.MaxRequest {
			return i
		}
		l.parcels = append(l.parcels, part[i])
	}
	return len(part)
}

// settleLocked gives back the room of a parcel that was carried or lost.
func (c *courier) settleLocked(p *peer, done *parcel) {
	p.box.Done(Lane(done.message.Lane), 1)
	size := done.message.Size()
	p.bytes -= size
	c.bytes -= size
	if done.reached != nil {
		close(done.reached)
	}
	r := c.routes[done.place.told]
	if r.parcels--; r.parcels == 0 {
		delete(c.routes, done.place.told)
	}
}

// carry brings messages to one node and takes the account of what became of
// them there. It returns those that the node has no actor for.
func (c *courier) carry(address string, parcels []parcel) (stale []parcel) {
	if len(parcels) == 0 {
		return nil
	}
	messages := make([]envelope.Message, len(parcels))
	for i := range parcels {
		parcels[i].message.Hops++
		messages[i] = parcels[i].message
	}
	ctx, cancel := context.WithTimeout(c.ctx, exchangeLimit)
	defer cancel()
	receipts, err := c.exchange(ctx, address, envelope.Tell, messages)
	if errors.Is(err, ErrStale) {
		return parcels
	}
	if err != nil {
		c.lose(dropUnconfirmed, parcels...)
		return nil
	}
	for i, r := range receipts {
		p := parcels[i]
		switch r.Outcome {
		case envelope.Accepted:
			p.account.handled(1)
			c.counts.arrived(p.message.Hops)
		case envelope.Stale:
			stale = append(stale, p)
		case envelope.Full:
			c.lose(dropFarFull, p)
		case envelope.Stopped:
			c.lose(dropFarStopped, p)
		case envelope.Repeated:
			c.lose(dropUnconfirmed, p)
		default:
			c.lose(dropFarRefused, p)
		}
	}
	return stale
}

// follow locates the actors of messages and carries these there, those of one
// actor in their order. It returns those whose actor is not there either; the
// second time, these are lost. Nodes that hang do so at the same time.
func (c *courier) follow(parcels []parcel, fresh bool) (stale []parcel) {
	found := c.locate(parcels, fresh)
	to := make(map[string][]parcel) // by address
	for _, p := range parcels {
		if address := found[p.place.told.ID]; address != "" {
			c.remember(p.place, address)
			to[address] = append(to[address], p)
		} else {
			c.lose(dropUnlocated, p)
		}
	}
	var nodes sync.WaitGroup
	var mu sync.Mutex
	for address, part := range to {
		nodes.Go(func() {
			left := c.carry(address, part)
			mu.Lock()
			defer mu.Unlock()
			stale = append(stale, left...)
		})
	}
	nodes.Wait()
	if fresh {
		c.lose(dropStale, stale...)
		return nil
	}
	return stale
}

// locate asks where the actors of messages are, and returns the addresses of
// those that were found in time by their IDs.
func (c *courier) locate(parcels []parcel, fresh bool) map[string]string {
	ctx, cancel := context.WithTimeout(c.ctx, exchangeLimit)
	defer cancel()
	found := make(map[string]string)
	wanted := make(chan string, len(parcels))
	for _, p := range parcels {
		if _, asked := found[p.place.told.ID]; !asked {
			found[p.place.told.ID] = ""
			wanted <- p.place.told.ID
		}
	}
	close(wanted)
	var searches sync.WaitGroup
	var mu sync.Mutex
	for range min(len(wanted), maxSearches) {
		searches.Go(func() {
			for id := range wanted {
				address, err := c.transport.Locate(ctx, id, fresh)
				if err != nil {
					continue // the messages are counted as unlocated
				}
				mu.Lock()
				found[id] = address
				mu.Unlock()
			}
		})
	}
	searches.Wait()
	return found
}

// lose counts messages that were accepted and will not be delivered, and
// publishes them.
func (c *courier) lose(why drop, parcels ...parcel) {
	system := c.engine.system
	for _, p := range parcels {
		p.account.dead(why, 1)
		if system.events.heard() {
			system.publish(DeadLetter{
				PID:     PID{Address: c.addressOf(p.place), ID: p.place.told.ID},
				Type:    p.account.typ,
				Lane:    Lane(p.message.Lane),
				Message: p.message.Body,
				Reason:  why.String(),
			})
		}
	}
}
