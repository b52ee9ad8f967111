package site

import "github.com/atrium-iot/atrium/shared/wire"

// Limits of what a shard's state may hold (I5). What is beyond them is a dead
// letter with the reason "limit". Rooms are bounded by room.Plan, pipelines by
// pipeline.MaxPipelines, which the catalog heeds before.
const (
	// MaxSites bounds the sites of a shard: each costs an object a snapshot.
	MaxSites = 4096
	// MaxGateways bounds the gateways of a site.
	MaxGateways = 1024
	// MaxDevices bounds the twins of a site: a turn that tells each of them
	// must stay below the group's TurnLimit of 65,536 messages.
	MaxDevices = 16_384
	// MaxRuns bounds the live runs of a gateway: what a hello can name, twice,
	// since a cloned card brings as many of its own.
	MaxRuns = 2 * wire.MaxRuns
	// MaxSIDs bounds the series of a run: as many as a frame's blocks.
	MaxSIDs = wire.MaxBlocks
	// MaxSchemas bounds the distinct schemas of a gateway's live runs, of at most
	// wire.MaxBody bytes each: one a device that a gateway may have.
	MaxSchemas = wire.MaxDevices
	// MaxClocks is how many clock mappings of a run are remembered, the latest
	// ones: frames use them in order.
	MaxClocks = 256
	// MaxTombstones is how many retired runs of a gateway are remembered.
	MaxTombstones = 1024
	// MaxBoots is how many boots of a gateway keep their rank.
	MaxBoots = 2 * wire.MaxBoots
	// MaxPipelineDevices bounds the pairs of a pipeline and a device that it
	// reads, of some 300 bytes each in every snapshot: four pipelines over all
	// devices of the largest site. Rows of further ones are dropped and counted.
	MaxPipelineDevices = 4 * MaxDevices
	// MaxDocumentText bounds the texts of a site's documents in bytes, which are
	// in every snapshot of it: a thousand rooms of forty devices take 1 MB.
	MaxDocumentText = 8 << 20

	// MaxWatched bounds what a watcher is still to be told of, in entities: eight
	// full sites. One with more to hear is ended; it may watch fewer sites.
	MaxWatched = 8 * MaxDevices
)
