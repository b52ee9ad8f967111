package identity_test

import (
	"path/filepath"
	"testing"

	"github.com/atrium-iot/atrium/cloud/identity"
)

func TestTheResetKeyOutlivesARestartAndDiffersBetweenClusters(t *testing.T) {
	dir := t.TempDir()
	key := func(name string) [32]byte {
		ca, err := identity.OpenCA(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		k, err := ca.ResetKey()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first, again := key("a"), key("a")
	if first != again {
		t.Error("the key changed with a restart")
	}
	if first == key("b") {
		t.Error("two clusters have the same key")
	}
}
