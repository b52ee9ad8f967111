package identity_test

import (
	"path/filepath"
	"testing"

	"github.com/atrium-iot/atrium/cloud/identity"
)

func TestTheNodesKeysOutliveARestartAndDifferBetweenClusters(t *testing.T) {
	dir := t.TempDir()
	keys := func(name string) [2][32]byte {
		ca, err := identity.OpenCA(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		reset, err := ca.ResetKey()
		if err != nil {
			t.Fatal(err)
		}
		token, err := ca.TokenKey()
		if err != nil {
			t.Fatal(err)
		}
		return [2][32]byte{reset, token}
	}
	first, again, other := keys("a"), keys("a"), keys("b")
	if first != again {
		t.Error("the keys changed with a restart")
	}
	if first[0] == other[0] || first[1] == other[1] {
		t.Error("two clusters have the same key")
	}
	if first[0] == first[1] {
		t.Error("one key has two purposes")
	}
}
