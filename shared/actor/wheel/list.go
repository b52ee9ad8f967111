package wheel

// list is a ring of timers; the one before the head is the last.
type list[T any] struct{ head *Timer[T] }

func (l *list[T]) push(t *Timer[T]) {
	if l.head == nil {
		l.head, t.next, t.prev = t, t, t
		return
	}
	first, last := l.head, l.head.prev
	t.next, t.prev = first, last
	last.next, first.prev = t, t
}

func (l *list[T]) remove(t *Timer[T]) {
	switch {
	case t.next == t:
		l.head = nil
	case l.head == t:
		l.head = t.next
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

func (l *list[T]) pop() *Timer[T] {
	t := l.head
	l.remove(t)
	return t
}

// take moves all of from to the end of l.
func (l *list[T]) take(from *list[T]) {
	switch {
	case from.head == nil:
		return
	case l.head == nil:
		l.head = from.head
	default:
		first, last := l.head, l.head.prev
		next, end := from.head, from.head.prev
		last.next, next.prev = next, last
		end.next, first.prev = first, end
	}
	from.head = nil
}
