package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheClustersGatesAreKnownAfterARestart(t *testing.T) {
	dir := t.TempDir()
	n := openNodes(dir, slog.New(slog.DiscardHandler))
	if len(n.known) != 0 {
		t.Errorf("%v are known from nowhere", n.known)
	}
	want := []string{"n1:7443", "[2001:db8::1]:7443"}
	n.learn(want)
	if got := openNodes(dir, slog.New(slog.DiscardHandler)).known; !slices.Equal(got, want) {
		t.Errorf("%v are known, want %v", got, want)
	}
	// The same list costs the flash nothing.
	path := filepath.Join(dir, "nodes")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	n.learn(want)
	if _, err := os.Stat(path); err == nil {
		t.Error("the same addresses were written again")
	}
}

func TestADamagedListOfGatesIsAHintThatIsNotTaken(t *testing.T) {
	for _, damaged := range []string{"n1", "\x00\x00\x00", strings.Repeat("n1:7443\n", 65), strings.Repeat("x", maxNodesFile) + ":1"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nodes"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		log := &strings.Builder{}
		if n := openNodes(dir, slog.New(slog.NewTextHandler(log, nil))); len(n.known) != 0 || log.Len() == 0 {
			t.Errorf("%d addresses of %.10q, logged %q", len(n.known), damaged, log)
		}
	}
}
