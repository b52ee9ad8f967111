package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/ops"
)

var block = regexp.MustCompile("(?ms)^```(yaml|sh)\n(.*?)^```$")

// Every document of docs/catalog.md is accepted, and every command that it
// types does what it should, in the order of the page.
func TestThePageOfTheCatalogIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../../docs/catalog.md")
	if err != nil {
		t.Fatal(err)
	}
	c := openCatalog(t)
	mux := http.NewServeMux()
	api.Register(t.Context(), mux, "test", silent{catalog: c}, nil, c)
	srv := httptest.NewServer(api.Handler(mux))
	defer srv.Close()
	t.Chdir(t.TempDir())
	typed, given := 0, map[document.Kind]bool{}
	for _, b := range block.FindAllStringSubmatch(string(page), -1) {
		if b[1] == "yaml" {
			name, _, _ := strings.Cut(strings.TrimPrefix(b[2], "# "), "\n")
			if err := os.WriteFile(name, []byte(b[2]), 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := document.ParseFile(name, []byte(b[2]))
			if err != nil {
				t.Error(err)
			}
			for _, d := range all {
				given[d.Kind] = true
			}
			continue
		}
		for l := range strings.Lines(b[2]) {
			args := strings.Fields(l)
			root := newRoot()
			root.SetArgs(append(args[1:], "--api", srv.URL))
			root.SetOut(t.Output())
			root.SetErr(t.Output())
			if status := ops.Run(root); status != 0 || args[0] != "atrium" {
				t.Errorf("%q ends with status %d", l, status)
			}
			typed++
		}
	}
	if typed < 8 || len(given) != len(document.Kinds()) {
		t.Errorf("%d commands were typed, %d kinds given", typed, len(given))
	}
	if left := c.Documents("", ""); len(left) != 5 {
		t.Errorf("the page leaves %d documents: %v", len(left), left)
	}
}

func openCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := newCatalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Every command that docs/scaling.md types does what it should, in the order of
// the page.
func TestThePageOfScalingIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	if typed := typeBlocks(t, string(page)); typed < 8 {
		t.Errorf("only %d commands were typed", typed)
	}
}

// And so does what docs/cluster.md types to move a site.
func TestThePageOfTheClusterMovesASite(t *testing.T) {
	page, err := os.ReadFile("../../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Move a site\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if typed := typeBlocks(t, section); typed < 3 || !strings.Contains(section, "atrium site move ") {
		t.Errorf("only %d commands were typed", typed)
	}
}

// typeBlocks types the commands of a page to a district, and returns how many.
func typeBlocks(t *testing.T, text string) (typed int) {
	t.Helper()
	srv := httptest.NewServer(newDistrict())
	defer srv.Close()
	for _, b := range block.FindAllStringSubmatch(text, -1) {
		for l := range strings.Lines(b[2]) {
			args := strings.Fields(l)
			ctx, stop := context.WithCancel(t.Context())
			root := newRoot()
			root.SetArgs(append(args[1:], "--api", srv.URL))
			root.SetOut(printed(func(string) {
				if args[1] == "watch" { // it goes on until Ctrl-C
					stop()
				}
			}))
			if err := root.ExecuteContext(ctx); err != nil || args[0] != "atrium" {
				t.Errorf("%q: %v", l, err)
			}
			stop()
			typed++
		}
	}
	return typed
}
