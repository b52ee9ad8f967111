package journal_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A closed server leaves no goroutine behind, nats-server's own included, but
// for one: of a stream that several nodes made at the same moment (10058) it
// keeps the store that it gave up, and with it the clock that stores share.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}
