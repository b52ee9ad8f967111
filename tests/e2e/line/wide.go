package line

import (
	"bytes"
	"fmt"
	"io/fs"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
)

const (
	// WidePoints is how many points WideProfile has.
	WidePoints = 5

	bme280     = "bosch.bme280"
	morePoints = `
  - {name: fahrenheit, expr: "t_fine/5120*1.8 + 32", unit: "[degF]", resolution: 0.01, range: [-40, 185]}
  - {name: pressure_hpa, expr: "pd/100", unit: hPa, resolution: 0.01, range: [300, 1100]}
`
)

// WideProfile is the profile of the BME280, which measures three points, with
// two more that it computes. It has the name of the original: a gateway whose
// profiles hold it uses it for all its climate sensors.
func WideProfile() ([]byte, error) {
	text, err := fs.ReadFile(profiles.FS(), bme280+"/profile.yaml")
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	return append(bytes.TrimRight(text, "\n"), morePoints...), nil
}
