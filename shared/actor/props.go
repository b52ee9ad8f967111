package actor

// PropsTyped says how to make an actor: its receiver and its dispatcher. It is
// immutable and may make any number of actors.
type PropsTyped[M any] struct {
	produce    func() ReceiverOf[M]
	dispatcher string
}

// Props makes untyped actors.
type Props = PropsTyped[any]

// PropsFromProducer makes props of untyped actors. The producer is called once
// per Spawn, in the spawner's goroutine.
func PropsFromProducer(produce func() Receiver) *Props { return PropsOf(produce) }

// PropsOf makes props of actors that take messages of type M. The producer is
// called once per Spawn, in the spawner's goroutine.
func PropsOf[M any](produce func() ReceiverOf[M]) *PropsTyped[M] {
	return &PropsTyped[M]{produce: produce, dispatcher: DefaultDispatcherName}
}

// WithDispatcher returns a copy whose actors run on the named dispatcher. In a
// group it has no effect: a group runs its members itself.
func (p *PropsTyped[M]) WithDispatcher(name string) *PropsTyped[M] {
	q := *p
	q.dispatcher = name
	return &q
}
