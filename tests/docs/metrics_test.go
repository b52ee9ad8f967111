package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// metric is a row of docs/metrics.md, or what a program serves.
type metric struct {
	kind    string
	labels  string // sorted, with commas
	meaning string
}

// document reads the tables of docs/metrics.md.
func document(t *testing.T) map[string]metric {
	t.Helper()
	b, err := os.ReadFile(root + "docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metric{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(atrium_[a-z0-9_]+)` \\| (\\w+) \\| ?(.*?) \\| (.*) \\|$").FindAllStringSubmatch(string(b), -1) {
		if _, twice := found[m[1]]; twice {
			t.Errorf("docs/metrics.md has %s twice", m[1])
		}
		found[m[1]] = metric{m[2], strings.ReplaceAll(strings.ReplaceAll(m[3], "`", ""), " ", ""), m[4]}
	}
	return found
}

var (
	helpLine   = regexp.MustCompile(`(?m)^# HELP (atrium_\w+) (.*)$`)
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (atrium_\w+) (\w+)$`)
	sampleLine = regexp.MustCompile(`(?m)^(atrium_\w+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`(\w+)="`)
)

// scraped reads an answer of /metrics.
func scraped(text string) map[string]metric {
	found := map[string]metric{}
	for _, m := range typeLine.FindAllStringSubmatch(text, -1) {
		found[m[1]] = metric{kind: m[2]}
	}
	for _, m := range helpLine.FindAllStringSubmatch(text, -1) {
		one := found[m[1]]
		one.meaning = m[2]
		found[m[1]] = one
	}
	for _, m := range sampleLine.FindAllStringSubmatch(text, -1) {
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && found[base].kind == "histogram" {
				name = base
			}
		}
		var labels []string
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		slices.Sort(labels)
		one := found[name]
		one.labels = strings.Join(labels, ",")
		found[name] = one
	}
	return found
}

// documented compares what the programs serve with the document, both ways. A
// metric that has no value yet is not served: that it exists is then read from
// the sources.
func documented(t *testing.T, s *session, urls ...string) {
	t.Helper()
	written := document(t)
	served := map[string]metric{}
	for _, url := range urls {
		status, text := s.curl("curl " + url + "/metrics")
		if status != http.StatusOK {
			t.Fatalf("%s/metrics: %d %s", url, status, text)
		}
		found := scraped(text)
		if len(found) == 0 {
			t.Errorf("%s serves no metrics", url)
		}
		maps.Copy(served, found)
	}
	sources := literals(t)
	for _, name := range slices.Sorted(maps.Keys(served)) {
		if got := written[name]; got != served[name] {
			t.Errorf("docs/metrics.md: %s is %+v, want %+v", name, got, served[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if _, ok := served[name]; !ok && !named(sources, name) {
			t.Errorf("docs/metrics.md: no program has %s", name)
		}
	}
	for text := range sources {
		if regexp.MustCompile(`^atrium_[a-z0-9_]*[a-z0-9]$`).MatchString(text) {
			if _, ok := written[text]; !ok {
				t.Errorf("docs/metrics.md lacks %s", text)
			}
		}
	}
}

// literals are the strings in the sources of the programs.
func literals(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, tier := range []string{"cloud", "edge", "hal", "shared", "simulator"} {
		err := filepath.WalkDir(root+tier, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						found[text] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// named says whether the sources hold a metric's name, whole or as its
// package's prefix and the rest.
func named(sources map[string]bool, name string) bool {
	if sources[name] {
		return true
	}
	parts := strings.SplitN(name, "_", 3)
	return len(parts) == 3 && sources[parts[0]+"_"+parts[1]+"_"] && sources[parts[2]]
}
