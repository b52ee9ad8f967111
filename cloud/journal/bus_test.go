package journal_test

import (
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func TestTheBusKeepsItsContract(t *testing.T) {
	for _, c := range journaltest.BusCases() {
		t.Run(c.Name, func(t *testing.T) {
			b := startAt(t, t.TempDir()).Bus(nil)
			c.Run(t, journaltest.BusHarness{Here: b, There: b})
		})
	}
}
