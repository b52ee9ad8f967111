package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "github.com/atrium-iot/atrium/"
	root     = "../.."
	maxLines = 500 // beyond this a file holds more than one idea
)

// file is one Go source: where it is, what it imports, whether it is a test.
type file struct {
	path    string // slash-separated, from the repository's root
	dir     string
	imports []string
	doc     string
	name    string
	lines   int
	test    bool
	decls   []ast.Decl
}

func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || !strings.Contains(rel, "/") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		one := file{path: rel, dir: pathDir(rel), name: f.Name.Name, test: strings.HasSuffix(rel, "_test.go"), decls: f.Decls, lines: strings.Count(string(src), "\n")}
		if f.Doc != nil {
			one.doc = f.Doc.Text()
		}
		for _, im := range f.Imports {
			p, _ := strconv.Unquote(im.Path.Value)
			one.imports = append(one.imports, p)
		}
		files = append(files, one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no sources found")
	}
	return files
}

func pathDir(p string) string { return p[:strings.LastIndexByte(p, '/')] }

// tiers says which top-level folders a folder may import beside itself.
// edge/agent may be composed into the simulator's fleet and programs.
func mayImport(from, to string) bool {
	tier := func(p string) string { t, _, _ := strings.Cut(p, "/"); return t }
	a, b := tier(from), tier(to)
	if a == b {
		return true
	}
	switch a {
	case "shared":
		return false
	case "hal", "cloud", "firmware-profiles":
		return b == "shared"
	case "edge":
		return b == "shared" || b == "hal" || b == "firmware-profiles"
	case "simulator":
		fleet := strings.HasPrefix(from, "simulator/fleet") || strings.HasPrefix(from, "simulator/cmd")
		return b == "shared" || b == "hal" || fleet && to == "edge/agent"
	case "tests":
		return true
	}
	return false
}

// only names the packages that alone may import an engine or library; tests of
// the whole line may import any.
var only = []struct {
	library string
	dirs    []string
}{
	{"github.com/dgraph-io/badger", []string{"edge/buffer", "cloud/history"}},
	{"github.com/nats-io/", []string{"cloud/journal", "cloud/cluster", "cloud/catalog"}},
	{"github.com/quic-go/quic-go", []string{"shared/carrier", "edge/uplink", "cloud/gate", "simulator/link"}},
	{"periph.io/x/host", []string{"hal/host"}},
	{"periph.io/x/conn", []string{"hal", "simulator", "edge"}},
	{"github.com/danielgtaylor/huma", []string{"cloud/api"}},
	{"github.com/goccy/go-yaml", []string{"shared/config"}},
	{"github.com/anishathalye/porcupine", []string{"tests"}},
}

func within(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

func TestPackagesImportOnlyWhatTheirTierMay(t *testing.T) {
	for _, f := range sources(t) {
		for _, im := range f.imports {
			to, ours := strings.CutPrefix(im, module)
			// A test may raise profiles and chips beside what it tests.
			if ours && !mayImport(f.dir, to) && !(f.test && within(to, "firmware-profiles")) {
				t.Errorf("%s imports %s: its tier may not", f.path, to)
			}
		}
	}
}

func TestEachEngineHasItsOnePackage(t *testing.T) {
	for _, f := range sources(t) {
		if within(f.dir, "tests") {
			continue
		}
		for _, im := range f.imports {
			for _, rule := range only {
				if !strings.HasPrefix(im, rule.library) {
					continue
				}
				if !slices.ContainsFunc(rule.dirs, func(d string) bool { return within(f.dir, d) }) {
					t.Errorf("%s imports %s: only %s may", f.path, im, strings.Join(rule.dirs, ", "))
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		said := strings.HasPrefix(f.doc, "Package "+f.name+" ") || f.name == "main" && strings.HasPrefix(f.doc, "Command ")
		documented[f.dir] = documented[f.dir] || said
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment that begins with Package or Command", dir)
		}
	}
}

func TestNamesThatSayNothingAreNotPackages(t *testing.T) {
	for _, f := range sources(t) {
		switch f.name {
		case "util", "utils", "common", "helper", "helpers", "manager", "misc":
			t.Errorf("%s: package %s names no concept", f.path, f.name)
		}
	}
}

func TestNoInitFunctionsAndNoLongFiles(t *testing.T) {
	for _, f := range sources(t) {
		if f.lines > maxLines && !f.test {
			t.Errorf("%s has %d lines: split it at its second idea (limit %d)", f.path, f.lines, maxLines)
		}
		for _, d := range f.decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function: construct in main and pass it on", f.path)
			}
		}
	}
}

func TestPackagesThatHoldAnInvariantSayHow(t *testing.T) {
	for _, dir := range []string{
		"shared/actor", "shared/pipeline", "edge/buffer", "edge/command", "cloud/gate", "cloud/journal", "cloud/cluster",
		"cloud/catalog", "cloud/site", "cloud/twin", "cloud/command", "cloud/history", "cloud/peer",
	} {
		b, err := os.ReadFile(filepath.Join(root, dir, "DESIGN.md"))
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		if !strings.Contains(string(b), "**I") {
			t.Errorf("%s/DESIGN.md cites no invariant", dir)
		}
	}
}
