package main

import (
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// A text comes from a device: in a table it is on its line, and not more.
func TestATextInATableStaysOnItsLine(t *testing.T) {
	said, columns := "stuck\x1b[2J\nat the door", readingColumns(false)
	var cells []string
	for _, c := range columns {
		cells = append(cells, c.text(client.Reading{Text: &said, Quality: "good", Clock: "system"}))
	}
	var out strings.Builder
	if err := tableWriter(&out, columns)(cells); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsRune(got, '\x1b') || strings.Count(got, "\n") != 1 || !strings.Contains(got, "at the door good") {
		t.Errorf("the line is %q", got)
	}
}
