package wire_test

import (
	"testing"

	"github.com/atrium-iot/atrium/shared/wire"
)

// I6: what a gateway would dial is an address, or the message is refused.
func TestAnAddressThatCannotBeDialledIsMalformed(t *testing.T) {
	for _, bad := range []string{"", "n1", ":7443", "n1:", "n1:0", "n1:65536", "n1:-1", "n1:http", "2001:db8::1:7443:x"} {
		if _, err := wire.ParseRedirect((&wire.Redirect{Address: bad, Reason: wire.RedirectOwner}).Append(nil)); err == nil {
			t.Errorf("redirect to %q was taken", bad)
		}
		if _, err := wire.ParseNodes((&wire.Nodes{Addresses: []string{"n1:1", bad}}).Append(nil)); err == nil {
			t.Errorf("nodes with %q was taken", bad)
		}
	}
}
