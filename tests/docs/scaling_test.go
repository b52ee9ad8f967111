package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What docs/scaling.md points to is there: pages, targets, folders, files and
// metrics. Its commands are run by the tests of the command line.
func TestTheScalingPagePointsToWhatThereIs(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(root + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page, metrics, makefile := read("docs/scaling.md"), read("docs/metrics.md"), read("Makefile")
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(root + "docs/" + link[1]); err != nil {
			t.Errorf("it links to %s: %v", link[1], err)
		}
	}
	found := 0
	for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(page, -1) {
		name, _, _ := strings.Cut(code[1], " ")
		target, isTarget := strings.CutPrefix(code[1], "make ")
		switch {
		case strings.HasPrefix(name, "atrium_"):
			found++
			if !strings.Contains(metrics, "`"+name+"`") {
				t.Errorf("docs/metrics.md has no %s", name)
			}
		case isTarget:
			if !strings.Contains(makefile, "\n"+target+":") {
				t.Errorf("make %s: no such target", target)
			}
		case regexp.MustCompile(`^(cloud|shared|scripts)/`).MatchString(name):
			if _, err := os.Stat(root + name); err != nil {
				t.Error(err)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d metrics: the test looks for them wrongly", found)
	}
}
