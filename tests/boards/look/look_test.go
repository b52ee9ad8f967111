package look

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/tests/proc"
)

func TestLooksAreFoundAmongOtherLinesAndOnlyWholeOnes(t *testing.T) {
	first := Look{
		Up: 90 * time.Second, Connected: true, Devices: 20, Sampled: 300, Acked: 200, Taken: 200,
		Memory: proc.Memory{RSS: 3, PeakRSS: 4, Anon: 1, File: 2}, CPU: time.Second, Available: 400 << 20,
	}
	second := first
	second.Acked = 300
	one, err := Line(first)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Line(second)
	if err != nil {
		t.Fatal(err)
	}
	// A serial console ends its lines with both.
	serial := strings.ReplaceAll("guest: starting\n"+one+one[:20]+"[ 1.0] usb: gone\n"+two+two[:len(two)-1], "\n", "\r\n")
	if got := In(serial); !slices.Equal(got, []Look{first, second}) {
		t.Errorf("found %+v", got)
	}
}
