package id_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/id"
)

func TestNamesOutsideTheGrammarAreRefusedWithThePlace(t *testing.T) {
	long := strings.Repeat("a", id.MaxName+1)
	for _, bad := range []struct{ in, want string }{
		{"", "1 to 63"}, {"HQ", "character 1"}, {"-hq", "character 1"}, {"hq-", "character 3"}, {"a_b", "character 2"}, {long, "got 64"}, {"a/b", "character 2"},
	} {
		if _, err := id.ParseSite(bad.in); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("ParseSite(%q) = %v, want an error with %q", bad.in, err, bad.want)
		}
	}
	for _, bad := range []string{"hq", "hq/", "/gw", "hq/gw/x", "hq/GW"} {
		if _, err := id.ParseGateway(bad); err == nil {
			t.Errorf("ParseGateway(%q) was accepted", bad)
		}
		if _, err := id.ParseDevice(bad); err == nil {
			t.Errorf("ParseDevice(%q) was accepted", bad)
		}
	}
	deep := "hq" + strings.Repeat("/a", id.MaxDepth+1)
	for _, bad := range []string{"hq", "hq/", "/r", "hq//r", "hq/r/", "hq/R", deep} {
		if _, err := id.ParseRoom(bad); err == nil {
			t.Errorf("ParseRoom(%q) was accepted", bad)
		}
	}
	for _, bad := range []string{"hq", "hq/p/q", "hq/P"} {
		if _, err := id.ParsePipeline(bad); err == nil {
			t.Errorf("ParsePipeline(%q) was accepted", bad)
		}
	}
	for _, bad := range []string{"", "1a", "_a", "Temp", "a-b", long} {
		if _, err := id.ParsePoint(bad); err == nil {
			t.Errorf("ParsePoint(%q) was accepted", bad)
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	g, err := id.ParseGateway("hq/gw-1")
	if err != nil || g.String() != "hq/gw-1" {
		t.Fatalf("gateway: %v, %v", g, err)
	}
	d, err := id.ParseDevice("hq/t1")
	if err != nil || d.String() != "hq/t1" {
		t.Fatalf("device: %v, %v", d, err)
	}
	r, err := id.NewRun(bytes.NewReader([]byte("12345678")))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := id.ParseRun(r.String()); err != nil || back != r {
		t.Fatalf("run %s came back as %s, %v", r, back, err)
	}
	if _, err := id.NewRun(bytes.NewReader(nil)); err == nil {
		t.Fatal("a run was drawn from an empty source")
	}
	if _, err := id.ParseBoot("7f0f7f6c-0b4e-4c8e-9a52-0d3a4c0e2f11"); err != nil {
		t.Fatal(err)
	}
	if r, err := id.ParseRoom("hq/floor-1/kitchen"); err != nil || r.Name != "floor-1/kitchen" || r.String() != "hq/floor-1/kitchen" {
		t.Fatalf("room: %v, %v", r, err)
	}
	if p, err := id.ParsePipeline("hq/heat"); err != nil || p.String() != "hq/heat" {
		t.Fatalf("pipeline: %v, %v", p, err)
	}
	if c, err := id.ParseCommand("7f0f7f6c-0b4e-4c8e-9a52-0d3a4c0e2f11"); err != nil || c.String() != "7f0f7f6c0b4e4c8e9a520d3a4c0e2f11" {
		t.Fatalf("command: %v, %v", c, err)
	}
	if _, err := id.ParseCommand("7f0f"); err == nil {
		t.Fatal("a short command id was accepted")
	}
	if _, err := id.ParseBoot("7f0f"); err == nil {
		t.Fatal("a short boot id was accepted")
	}
}
