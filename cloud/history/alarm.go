package history

import (
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

// AlarmEntry is one line of a site's alarm log: an alarm stage of a pipeline
// was raised for a device, or ended.
type AlarmEntry struct {
	_                struct{} `cbor:",toarray"`
	At               At
	Site             id.Site
	Pipeline         string // within the site, as Device
	Revision         uint64 // of the pipeline's document
	Device           string
	Stage            int
	State            pipeline.AlarmState
	Time             int64 // Unix microseconds: of the reading, or the end of the window, that did it
	Value, Threshold float64
	Severity, Text   string
}
