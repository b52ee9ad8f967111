package snapshot_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const room = snapshot.MaxData*3/2 + 2<<20

func TestMemoryIsAStore(t *testing.T) {
	snapshottest.Contract(t, func(*testing.T) snapshottest.Store { return snapshot.NewMemory(room) })
}
