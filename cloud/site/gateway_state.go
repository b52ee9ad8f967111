package site

import (
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// gatewayState is all that the cloud knows of a gateway. It is plain data: its
// deterministic CBOR is its part of the snapshot. Times are Unix microseconds
// of journal time unless they say otherwise.
type gatewayState struct {
	_         struct{} `cbor:",toarray"`
	Board     id.Board
	Agent     string
	Interval  uint64 // commit interval, milliseconds
	HelloAt   int64
	SeenAt    int64
	HelloBoot uint64 // rank of the boot that the newest hello was sent in
	HelloNow  uint64 // its time since that boot, milliseconds
	Boots     []bootState
	NextBoot  uint64
	Runs      map[id.Run]*runState
	NextRun   uint64
	Tombs     []tombstone // oldest first
	Schemas   map[id.Schema][]byte
	Binds     map[string]uint64 // device name to the rank that this gateway holds
	Count     counts
}

// counts are totals since the gateway was first seen.
type counts struct {
	_          struct{} `cbor:",toarray"`
	Frames     uint64   // applied
	Readings   uint64   // applied
	Suppressed uint64   // rows withheld by the sampler
	Duplicates uint64   // frames and gaps below next
	Late       uint64   // frames and gaps of retired runs
	Missing    uint64   // sequences skipped without a gap frame
	Gaps       uint64   // sequences in gap frames
	Dead       uint64   // dead letters
	Retired    uint64   // runs
}

// runState is a live run.
type runState struct {
	_     struct{} `cbor:",toarray"`
	Class wire.Class
	State wire.RunState
	Board id.Board // that named it last
	Boot  id.Boot
	Rank  uint64 // of the boot
	Order uint64 // in which runs were first seen, from 1
	Next  uint64 // the sequence that is not applied yet
	Last  uint64 // the highest that the gateway has committed to
	Tick  int64  // of the latest row applied, nanoseconds since boot
	Rival bool   // reported as of a second board
	// Interval is the commit interval of the process that had the run open, in
	// milliseconds: the bound of what it left uncommitted.
	Interval uint64
	SIDs     map[uint32]seriesState
	Clks     map[uint32]clockState
}

type seriesState struct {
	_      struct{} `cbor:",toarray"`
	Device string
	Schema id.Schema
	Grid   uint64
}

type clockState struct {
	_           struct{} `cbor:",toarray"`
	UTC0        int64
	Uncertainty uint64
	Source      wire.ClockSource
}

// tombstone is what is left of a retired run.
type tombstone struct {
	_     struct{} `cbor:",toarray"`
	Run   id.Run
	Class wire.Class
	Boot  id.Boot
	Next  uint64
}

func newGatewayState() *gatewayState {
	return &gatewayState{
		Runs:    make(map[id.Run]*runState),
		Schemas: make(map[id.Schema][]byte),
		Binds:   make(map[string]uint64),
	}
}
