package world

import "time"

// Channels keep the noises of one room independent of each other.
const (
	channelDraught uint64 = iota + 1
	channelBreath
	channelWeather
	channelGust
)

// noise is a smooth value in [-1, 1]: hashed values every span, joined by a
// cubic whose slope is 0 at the joints. It needs no memory of earlier times.
func noise(seed, channel uint64, at int64, span time.Duration) float64 {
	k := floorDiv(at, int64(span))
	x := float64(floorMod(at, int64(span))) / float64(span)
	a, b := unit(seed, channel, k), unit(seed, channel, k+1)
	return a + (b-a)*x*x*(3-2*x)
}

// unit hashes to [-1, 1).
func unit(seed, channel uint64, k int64) float64 {
	h := mix(mix(mix(seed)^channel) ^ uint64(k))
	return float64(h>>11)/(1<<52) - 1
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// hashString is FNV-1a, 64 bits.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func floorMod(a, b int64) int64 { return ((a % b) + b) % b }

func floorDiv(a, b int64) int64 { return (a - floorMod(a, b)) / b }
