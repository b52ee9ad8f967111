package buffer

import (
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// DropReason says why readings left the buffer without being acked.
type DropReason uint8

// The reasons of drops. Each leaves a gap frame in the frames' place.
const (
	DropLimit    DropReason = iota // the class is at Config.Limit or Config.EventLimit
	DropReserve                    // the file system is at Config.Reserve
	DropMemory                     // the store does not keep up and memory is at Config.MaxMemory
	DropIndex                      // too many segments for the index in memory
	DropRejected                   // the gate refused the frame; it is in quarantine
	DropCorrupt                    // the store returned something else than was written
	dropReasons
)

func (r DropReason) String() string {
	return [dropReasons]string{"limit", "reserve", "memory", "index", "rejected", "corrupt"}[r]
}

// gap returns the reason that the gap frame gives.
func (r DropReason) gap() wire.GapReason {
	switch r {
	case DropRejected:
		return wire.GapRejected
	case DropCorrupt:
		return wire.GapCorrupt
	}
	return wire.GapQuota
}

// Dropped counts drops of one reason.
type Dropped struct {
	Items    uint64 // frames or segments
	Readings uint64
}

// counters only grow; they begin at 0 with the process.
type counters struct {
	sampled, suppressed uint64 // readings, rows
	recovered           uint64 // readings
	committed, acked    uint64 // readings
	safe                uint64 // readings
	commits             uint64
	commitBytes         uint64
	merges              uint64
	writes              uint64
	writeErrors         uint64
	badAcks             uint64
	dropped             [dropReasons]Dropped
	droppedEvents       uint64 // readings
}

// Stats is what the buffer holds and has done since Open.
type Stats struct {
	Runs          int    // in the store or in memory
	Frames        uint64 // cut and not acked
	Readings      uint64 // in those frames
	OpenRows      int    // in the frame that is not cut yet
	MemoryBytes   int64  // of frames that are not committed
	StoredBytes   int64  // of segments
	EventBytes    int64  // of those, of events
	DiskBytes     int64  // that the store takes, deleted values included; 0 if it cannot tell
	Segments      int
	OldestAge     time.Duration // of the oldest frame, by sample time, at least; 0 without frames
	Sampled       uint64        // readings appended
	Recovered     uint64        // readings that an earlier process left in the store
	Suppressed    uint64        // rows that samplers withheld
	Committed     uint64        // readings that the store has taken
	Acked         uint64        // readings that the cloud has; those of a segment once all of it is acked
	Safe          uint64        // readings that were fsynced or acked (I1), the recovered among them
	Commits       uint64        // segments written
	CommitBytes   uint64        // their bytes
	Merges        uint64        // small segments written again as one
	Writes        uint64        // batches fsynced
	WriteErrors   uint64
	BadAcks       uint64 // acks of what was never sent
	Quarantined   int    // frames in quarantine
	Dropped       map[DropReason]Dropped
	DroppedEvents uint64 // of Dropped, readings of events
	Pressure      Pressure
	WrittenBytes  int64 // by the process since it began, when last looked at
	SpentBytes    int64 // of the day's write budget
	SessionOnline bool  // between Connect and Disconnect
}

// WriteAmplification returns how many bytes the process has written to storage
// for each byte of segments, 0 before the first: of the store's own logs and
// tables, of merges, and of whatever else the process writes.
func (s *Stats) WriteAmplification() float64 {
	if s.CommitBytes == 0 {
		return 0
	}
	return float64(s.WrittenBytes) / float64(s.CommitBytes)
}

// Stats returns a snapshot.
func (b *Buffer) Stats() Stats {
	disk, err := b.store.Size()
	if err != nil {
		disk = 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.core.stats(b.cfg.Now())
	s.DiskBytes = disk
	return s
}

func (c *core) stats(now time.Duration) Stats {
	n := &c.count
	s := Stats{
		Runs: len(c.runs), OpenRows: c.openRows(), MemoryBytes: c.memory(), StoredBytes: c.live(), EventBytes: c.class(wire.Events).live, DroppedEvents: n.droppedEvents,
		Sampled: n.sampled, Suppressed: n.suppressed, Committed: n.committed, Acked: n.acked, Recovered: n.recovered, Safe: n.safe,
		Commits: n.commits, CommitBytes: n.commitBytes, Merges: n.merges, Writes: n.writes, WriteErrors: n.writeErrors, BadAcks: n.badAcks,
		Quarantined: len(c.quarantine), Dropped: make(map[DropReason]Dropped, dropReasons), SessionOnline: c.online, Pressure: c.level, WrittenBytes: c.budget.seen, SpentBytes: c.budget.spent,
	}
	oldest := now.Milliseconds()
	for _, r := range c.runs {
		s.Segments += len(r.segs)
		for i := r.ackedSegments(); i < len(r.segs); i++ {
			if g := &r.segs[i]; !g.gap {
				s.Frames += g.last - g.first + 1
				s.Readings += g.held()
				if r.boot == c.cfg.Boot {
					oldest = min(oldest, g.tFirst)
				} else {
					oldest = 0
				}
			}
		}
		for i := range r.mem {
			if it := &r.mem[i]; !it.gap {
				s.Frames++
				s.Readings += it.readings
				oldest = min(oldest, it.tFirst)
			}
		}
	}
	if s.Frames > 0 {
		s.OldestAge = max(0, now-time.Duration(oldest)*time.Millisecond)
	}
	for r := range dropReasons {
		s.Dropped[r] = n.dropped[r]
	}
	return s
}
