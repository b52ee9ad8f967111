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
	if key("a") != key("a") {
		t.Error("the key changed with a restart")
	}
	if key("a") == key("b") {
		t.Error("two clusters have the same key")
	}
}
