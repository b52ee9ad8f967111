package wire

// Versions is the range of protocol versions that a program speaks.
type Versions struct{ Min, Max uint64 }

// Spoken is the range of this package.
func Spoken() Versions { return Versions{Version, Version} }

// Common returns the highest version that both speak; it is false if there is
// none.
func (v Versions) Common(other Versions) (version uint64, ok bool) {
	version = min(v.Max, other.Max)
	return version, version >= max(v.Min, other.Min)
}
