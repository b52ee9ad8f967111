package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// span is a path in backticks that begins with a folder of the repository.
var span = regexp.MustCompile("`((?:shared|hal|edge|cloud|simulator|firmware-profiles|tests|scripts|docs)/[A-Za-z0-9_./-]+)`")

func TestTheDocumentsNameFilesThatExist(t *testing.T) {
	documents := []string{"ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "docs/ROADMAP.md", "docs/BENCHMARKS.md"}
	for _, doc := range documents {
		b, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range span.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", doc, m[1])
			}
		}
	}
}
