package uplink

import "github.com/atrium-iot/atrium/shared/wire"

// Speak has the uplink say that it speaks other versions.
func (u *Uplink) Speak(v wire.Versions) { u.versions = v }
