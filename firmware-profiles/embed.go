// Package profiles holds the device types that Atrium knows out of the box:
// one folder each, named by the type's id, with the profile, a README and a
// transcript of a real or simulated exchange on the bus. The profiles are
// embedded, so that a gateway's binary needs no files. The package compiles
// them on request and keeps nothing.
//
// A transcript of a device on I2C has one transaction or one outcome a line,
// bytes in hex. The test of hal/regmap plays it against the profile, to its last
// line:
//
//	# a comment
//	address 44             the device's
//	w f7 r 65 5a           written, then read
//	r 66 66 93             read only
//	nack 24 00             written, or with no bytes read, and not acknowledged
//	read a=25 b=-3:out-of-range c=bad
//	                       the reading's points, in units of their resolution
//	fail crc mismatch      the reading fails, with that in its error
//
// That of a device on GPIO lines is played by the test of hal/line:
//
//	line out 27            a line of the profile and its offset on the chip
//	in motion high         what drives an input from now on
//	do set on=true         a command
//	out out high           what an output was driven to since the last command
//	                       or reading, and nothing else was
//	read on=1              as above
package profiles

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/atrium-iot/atrium/shared/profile"
)

//go:embed */profile.yaml */transcript.txt
var files embed.FS

// ErrUnknown is returned for an id without a folder.
var ErrUnknown = errors.New("unknown device type")

// FS returns the embedded folders, read-only.
func FS() fs.FS { return files }

// IDs lists the device types, sorted.
func IDs() []string {
	// Reading an embedded directory cannot fail: it is in the binary.
	entries, _ := files.ReadDir(".")
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.Name()
	}
	return ids
}

// Load compiles the profile of a device type. The error of an unknown id
// wraps ErrUnknown and lists the known ones.
func Load(id string) (*profile.Profile, error) {
	name := path.Join(id, "profile.yaml")
	data, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("profiles: %w: %q, want one of %s", ErrUnknown, id, strings.Join(IDs(), ", "))
	}
	p, err := profile.Parse("firmware-profiles/"+name, data)
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	if p.ID != id {
		return nil, fmt.Errorf("profiles: folder %s holds the profile %s", id, p.ID)
	}
	return p, nil
}
