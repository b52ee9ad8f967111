package directory

import "hash/maphash"

// hash is the hash of an ID. Its parts choose independently: the lowest bits
// the shard, those above them the bucket, the highest byte the tag.
type hash uint64

func hashOf(seed maphash.Seed, id string) hash { return hash(maphash.String(seed, id)) }

func (h hash) shard() int   { return int(h % shardCount) }
func (h hash) bucket() uint { return uint(h / shardCount) }

// tag is never 0, which marks an empty slot.
func (h hash) tag() uint8 { return max(1, uint8(h>>56)) }
