package placement

import (
	"hash/fnv"
	"math"
)

// ZoneBonus is the factor of nodes in a shard's home zone. With three equal
// zones one shard in fifty ranks a stranger first, so that readings stay in
// their zone; how much a zone takes, the bound says and not the bonus.
const ZoneBonus = 100

// The hash of a pair (node, shard) is fixed for ever: it decides where shards
// are. hash(node) is FNV-1a over the name's bytes, hash(shard) the number;
// pair = mix(mix(hash(node)) ^ mix(number + golden)), where mix is the finaliser
// of SplitMix64 (Steele, Lea, Flood 2014, with Stafford's constants "Mix13").
// FNV alone leaves names that differ in the last letter close to each other.
const golden = 0x9e3779b97f4a7c15

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hashNode(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return mix(h.Sum64())
}

func hashShard(number int) uint64 { return mix(uint64(number) + golden) }

// score is weighted rendezvous hashing by the logarithmic method (Schindelhauer
// and Schomaker 2005): w / -ln(u), u uniform in (0, 1). Of all nodes one has the
// highest score with a probability of its part in all weights, and a weight that
// changes moves only what that node gains or loses.
func score(weight float64, node, shard uint64) float64 {
	return weight / -ln(unit(mix(node^shard)))
}

// unit makes of a hash a number strictly between 0 and 1: 52 bits and a half.
func unit(h uint64) float64 { return (float64(h>>12) + 0.5) * 0x1p-52 }

// ln is the natural logarithm of 0 < x < 1, the same bits on every machine.
// math.Log is not: assembly on amd64, fused multiply-adds on arm64, and nodes of
// both must agree. x = m * 2^e with m in [sqrt(1/2), sqrt(2)), and
// ln m = 2 atanh((m-1)/(m+1)), whose series of 7 terms errs by less than 1e-11.
// The conversions to float64 forbid the fusing.
func ln(x float64) float64 {
	const mantissa, below1 = 1<<52 - 1, 1022 // the exponent of [1/2, 1)
	b := math.Float64bits(x)
	e := float64(int(b>>52) - below1)
	m := math.Float64frombits(b&mantissa | below1<<52)
	if m < math.Sqrt2/2 {
		m, e = 2*m, e-1
	}
	z := (m - 1) / (m + 1)
	zz := float64(z * z)
	sum := 1.0 / 13
	sum = float64(sum*zz) + 1.0/11
	sum = float64(sum*zz) + 1.0/9
	sum = float64(sum*zz) + 1.0/7
	sum = float64(sum*zz) + 1.0/5
	sum = float64(sum*zz) + 1.0/3
	sum = float64(sum*zz) + 1
	return float64(e*math.Ln2) + float64(2*z*sum)
}
