package document_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/config"
)

// I6: each fault has its line and column in the file, wherever in it the
// document stands.
func TestEveryDocumentOfAFileIsReadOrRefusedWithItsPlace(t *testing.T) {
	datadriven.RunTest(t, "testdata/files", func(t *testing.T, d *datadriven.TestData) string {
		all, err := document.ParseFile("f.yaml", []byte(d.Input))
		var out strings.Builder
		for _, p := range all {
			fmt.Fprintf(&out, "line %d: %s", p.Line, p)
			if p.Title != "" {
				fmt.Fprintf(&out, ", title %q", p.Title)
			}
			if p.Zone != "" {
				fmt.Fprintf(&out, ", zone %s", p.Zone)
			}
			fmt.Fprintln(&out)
		}
		if err != nil {
			fmt.Fprintln(&out, err)
		}
		return out.String()
	})
}

func TestTheTextOfADocumentIsKeptAsItWasGiven(t *testing.T) {
	first, second := "# first\nkind: site\nname: hq # x\n", "kind: gateway\nname: hq/gw"
	all, err := document.ParseFile("f", []byte("---\n"+first+"--- \r\n"+second))
	if err != nil || len(all) != 2 || string(all[0].Text) != first || string(all[1].Text) != second {
		t.Fatalf("%v, %v", all, err)
	}
}

// A byte order mark is no part of a file's first document, and what stands
// behind a separator's # is a comment.
func TestAFileMayBeginWithAMarkAndItsSeparatorsHaveComments(t *testing.T) {
	site, room := "kind: site\r\nname: hq\r\n", "kind: room\r\nname: hq/r\r\n"
	for _, file := range []string{site + "---\r\n" + room, "\ufeff" + site + "--- # rooms\r\n" + room, "\ufeff---\t\r\n" + site + "---  #\n" + room, "\ufeff# all\r\n---\r\n" + site + "---\n" + room} {
		all, err := document.ParseFile("f", []byte(file))
		if err != nil || len(all) != 2 || string(all[0].Text) != site || string(all[1].Text) != room {
			t.Errorf("%q: %v, %v", file, all, err)
		}
	}
	if all, err := document.ParseFile("f", []byte(site+"---#\r\n")); err == nil {
		t.Errorf("a line that is no separator: %v", all)
	}
}

func TestALongDocumentIsRefused(t *testing.T) {
	text := "kind: site\nname: hq\n" + strings.Repeat("# x\n", document.MaxText/4)
	if _, err := document.Parse("f", []byte(text)); err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Fatal(err)
	}
}

func TestNamesOfKinds(t *testing.T) {
	for _, k := range document.Kinds() {
		if back, err := document.ParseKind(string(k)); err != nil || back != k {
			t.Errorf("%s came back as %s, %v", k, back, err)
		}
	}
	for _, c := range []struct {
		kind       document.Kind
		good, bad  string
		site, want string
	}{
		{document.Site, "hq", "hq/x", "hq", "site"},
		{document.Gateway, "hq/gw", "hq", "hq", "gateway"},
		{document.Room, "hq/a/b", "hq", "hq", "room"},
		{document.Pipeline, "hq/p", "hq/p/q", "hq", "pipeline"},
		{document.Profile, "ti.tmp102", "ti/tmp102", "", "such as bosch.bme280"},
		{"roof", "", "hq", "", "want one of site"},
	} {
		if err := document.CheckName(c.kind, c.good); c.good != "" && err != nil {
			t.Errorf("%s %s: %v", c.kind, c.good, err)
		}
		if err := document.CheckName(c.kind, c.bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want an error with %q", c.kind, c.bad, err, c.want)
		}
		if site, of := document.SiteOf(c.kind, c.good); of && string(site) != c.site && c.good != "" || of == (c.kind == document.Profile) {
			t.Errorf("%s %s is of %q, %v", c.kind, c.good, site, of)
		}
	}
}

// FuzzParseFile: no file makes the package panic or changes under it; every
// fault has the file's name, a document's text is a stretch of the file, and
// the document is right by itself.
func FuzzParseFile(f *testing.F) {
	f.Add([]byte("kind: site\nname: hq\n---\nkind: room\nname: hq/r\ndevices: [a]\n"))
	f.Add([]byte("---\n# x\n---\r\nid: a.b\nbus: {type: i2c}\n"))
	f.Add([]byte("kind: pipeline\nname: hq/p\nstages:\n  - window: {every: 1m, of: t}\n--- x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		all, err := document.ParseFile("f.yaml", data)
		if !bytes.Equal(data, before) {
			t.Fatal("the input was changed")
		}
		if err == nil && len(all) == 0 {
			t.Fatal("nothing, and no fault")
		}
		var placed *config.Error
		if err != nil && (!errors.As(err, &placed) || placed.File != "f.yaml") {
			t.Fatalf("not a placed fault: %#v", err)
		}
		for _, p := range all {
			if !bytes.Contains(data, p.Text) || p.Line < 1 || p.Line > bytes.Count(data, []byte("\n"))+1 {
				t.Fatalf("line %d holds %q", p.Line, p.Text)
			}
			if again, err := document.Parse("g", p.Text); err != nil || again.Name != p.Name || document.CheckName(p.Kind, p.Name) != nil {
				t.Fatalf("%s by itself: %v", p, err)
			}
		}
	})
}
