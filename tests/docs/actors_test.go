package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor/settings"
)

// flat is source without the indentation of its lines.
func flat(source string) string {
	var b strings.Builder
	for line := range strings.Lines(source) {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	return b.String()
}

// What docs/actors.md shows of Go stands in examples, which the tests run.
func TestTheGoOfTheActorsPageIsRunAsExamples(t *testing.T) {
	var examples strings.Builder
	err := filepath.WalkDir(root+"shared/actor", func(path string, _ fs.DirEntry, err error) error {
		if ok, _ := filepath.Match("example*_test.go", filepath.Base(path)); err != nil || !ok {
			return err
		}
		b, err := os.ReadFile(path)
		examples.WriteString(flat(string(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	blocks := blocksOf(t, "go")
	if len(blocks) < 10 {
		t.Fatalf("only %d blocks: the test looks for them wrongly", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(examples.String(), flat(block)) {
			t.Errorf("no example has\n%s", block)
		}
	}
}

func TestTheConfigurationOfTheActorsPageIsRead(t *testing.T) {
	for _, block := range blocksOf(t, "yaml") {
		if _, err := settings.Parse("docs/actors.md", []byte(block), "device"); err != nil {
			t.Error(err)
		}
	}
}

// blocksOf returns the fenced blocks of a language in docs/actors.md.
func blocksOf(t *testing.T, language string) (blocks []string) {
	t.Helper()
	b, err := os.ReadFile(root + "docs/actors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?\n)```\n").FindAllSubmatch(b, -1) {
		blocks = append(blocks, string(m[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/actors.md has no block of %s", language)
	}
	return blocks
}
