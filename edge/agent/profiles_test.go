package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/shared/profile"
)

// A README of firmware-profiles shows the device line for edge.yaml; a user
// copies it.
func TestTheDeviceLinesOfTheDeviceTypesReadmesAreAccepted(t *testing.T) {
	const gateway = `gateway: hq/gw-1
state: state
identity: identity
cloud: ["cloud.example:7443"]
buses:
  - {name: i2c-1, device: /dev/i2c-1}
`
	for _, id := range profiles.IDs() {
		if p, err := profiles.Load(id); err == nil && p.Bus.Type != profile.BusI2C {
			continue
		}
		readme, err := os.ReadFile(filepath.Join("../../firmware-profiles", id, "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, example, _ := strings.Cut(string(readme), "```yaml\n")
		example, _, found := strings.Cut(example, "```\n")
		if !found {
			t.Errorf("%s: README.md has no example", id)
			continue
		}
		c, err := ParseConfig(id+"/README.md", []byte(gateway+example))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(c.Devices) != 1 || c.Devices[0].Profile.ID != id {
			t.Errorf("%s: the example has the devices %+v", id, c.Devices)
		}
	}
}
