package journal_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A closed server leaves no goroutine behind, nats-server's own included.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
