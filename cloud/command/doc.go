// Package command keeps the commands of a site: what somebody wants a device
// to do, whether it was sent, and what became of it. It decides and nothing
// else: it reads no clock, does no I/O and starts no goroutine, so that the
// same inputs in the same order give the same state, byte for byte (I7).
//
// The site's command actor gives each record to State.Step: the intent with
// which a command begins, the outbox record after which it may be sent, the
// gateway's result, and ticks. What Step asks for, the shard's owner does:
// publish outbox records and send commands. A replay does neither; a new owner
// reads from Pending what is left to do.
//
// It does not check a command against its profile, which the API has done
// before and the gateway does again, and it does not send.
package command
