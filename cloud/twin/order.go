package twin

import "cmp"

// Order is where a reading stands among all readings of its device (I4).
// Wall time is no part of it. The fields are compared from the first to the
// last.
type Order struct {
	_    struct{} `cbor:",toarray"`
	Bind uint64   // rank of the binding of the device to the frame's gateway
	Boot uint64   // rank of the boot among the gateway's boots
	Tick int64    // nanoseconds since the boot
	Run  uint64   // rank of the run, in the order in which they were first seen
	Seq  uint64   // the frame's sequence within the run
}

// Compare returns -1 if o comes before p, 0 if they are the same, 1 otherwise.
func (o Order) Compare(p Order) int {
	return cmp.Or(
		cmp.Compare(o.Bind, p.Bind),
		cmp.Compare(o.Boot, p.Boot),
		cmp.Compare(o.Tick, p.Tick),
		cmp.Compare(o.Run, p.Run),
		cmp.Compare(o.Seq, p.Seq),
	)
}
