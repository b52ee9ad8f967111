package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// A patch that no longer applies hunts nothing; finding that out is quick, and
// hunting is not.
func TestEveryFaultStillFitsTheCode(t *testing.T) {
	patches, err := filepath.Glob("*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	for _, p := range patches {
		cmd := exec.CommandContext(t.Context(), "git", "apply", "--check", filepath.Join("tests", "mutants", p))
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: make it anew: %v\n%s", p, err, out)
		}
	}
}
