package journaltest

import "maps"

// Image is what a Mem kept at some moment, as a backup holds it.
type Image struct {
	logs    map[int]logImage
	objects map[int]tableImage
	buckets map[string]tableImage
}

type logImage struct {
	purged uint64
	msgs   []stored
}

type tableImage struct {
	cells    map[string]cell
	revision uint64
}

// Last returns the last sequence of a shard's log, 0 for none.
func (i Image) Last(shard int) uint64 {
	l := i.logs[shard]
	return l.purged + uint64(len(l.msgs))
}

// Copy returns what a crash now would surely keep.
func (m *Mem) Copy() Image {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := Image{logs: map[int]logImage{}, objects: map[int]tableImage{}, buckets: map[string]tableImage{}}
	for shard, l := range m.logs {
		i.logs[shard] = logImage{l.purged, l.msgs[:l.durable:l.durable]}
	}
	for shard, t := range m.objects {
		i.objects[shard] = t.image()
	}
	for name, t := range m.buckets {
		i.buckets[name] = t.image()
	}
	return i
}

func (t *table) image() tableImage { return tableImage{maps.Clone(t.durable), t.revision} }

// Put crashes the store and leaves in it what Copy had returned.
func (m *Mem) Put(i Image) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashLocked()
	clear(m.logs)
	for shard, l := range i.logs {
		m.logs[shard] = &logState{purged: l.purged, msgs: l.msgs, durable: len(l.msgs), changed: make(chan struct{}), writer: make(chan struct{}, 1)}
	}
	clear(m.objects)
	for shard, t := range i.objects {
		m.objects[shard] = t.table()
	}
	clear(m.buckets)
	for name, t := range i.buckets {
		m.buckets[name] = t.table()
	}
}

func (i tableImage) table() *table {
	t := newTable()
	t.cells, t.durable, t.revision = maps.Clone(i.cells), maps.Clone(i.cells), i.revision
	return t
}
