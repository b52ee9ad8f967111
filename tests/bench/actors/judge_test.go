package main

import (
	"math"
	"strings"
	"testing"
)

var absent = math.NaN()

func TestTheBestPeerIsScaledByWhatProtoActorDoesHere(t *testing.T) {
	fast := row{peer: peer{"goakt", 1.76, 0.88}, ofPeer: 4}
	c := compared{row: fast, ours: 12, proto: 2}
	if c.best() != 4 || c.ofPeer() != 3 {
		t.Errorf("throughput: best %g, want 4; ratio %g, want 3", c.best(), c.ofPeer())
	}
	short := row{peer: peer{"goakt", 500, 1000}, less: true}
	c = compared{row: short, ours: 100, proto: 800}
	if c.best() != 400 || c.ofPeer() != 4 {
		t.Errorf("latency: best %g, want 400; ratio %g, want 4", c.best(), c.ofPeer())
	}
	if none := (compared{row: row{}, ours: 1, proto: 1}); !math.IsNaN(none.best()) {
		t.Errorf("a row without a peer has %g", none.best())
	}
}

func TestAVerdictNamesEachAimThatIsMissed(t *testing.T) {
	tell := row{peer: peer{"goakt", 2, 1}, ofPeer: 4, ofLimit: 0.5}
	heap := row{less: true, bounded: true, bound: 256, unit: "B", ofLimit: 1.35}
	spawned := row{bounded: true, bound: 1, unit: "M/s"}
	allocs := row{less: true, bounded: true, tolerance: 0.005}
	for _, c := range []struct {
		name string
		compared
		want string
	}{
		{"both ratios", compared{row: tell, ours: 8, proto: 1, limit: 16}, "met"},
		{"peer", compared{row: tell, ours: 6, proto: 1, limit: 8}, "MISSED: 3.00 of goakt's, aim 4"},
		{"limit", compared{row: tell, ours: 8, proto: 1, limit: 20}, "MISSED: 0.40 of swap's, aim 0.5"},
		{"both", compared{row: tell, ours: 4, proto: 1, limit: 20}, "MISSED: 2.00 of goakt's, aim 4; 0.20 of swap's, aim 0.5"},
		{"ours absent", compared{row: tell, ours: absent, proto: 1, limit: 20}, "MISSED: not measured"},
		{"proto absent", compared{row: tell, ours: 8, proto: absent, limit: 16}, "MISSED: goakt's is not known without proto.actor"},
		{"bound kept", compared{row: heap, ours: 256, limit: 200}, "met"},
		{"bound broken", compared{row: heap, ours: 257, limit: 200}, "MISSED: aim 256 B"},
		{"times the limit", compared{row: heap, ours: 200, limit: 100}, "MISSED: 2.00 of swap's, aim 1.35"},
		{"at least", compared{row: spawned, ours: 1}, "met"},
		{"too little", compared{row: spawned, ours: 0.9}, "MISSED: aim 1.00 M/s"},
		{"none", compared{row: allocs, ours: 0.004}, "met"},
		{"one", compared{row: allocs, ours: 0.01}, "MISSED: aim 0.00 "},
		{"no aims", compared{row: row{}, ours: 1}, ""},
	} {
		if got := c.verdict(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestARowThatWeLoseSaysToWhom(t *testing.T) {
	tell := row{peer: peer{"goakt", 2, 1}}
	for _, c := range []struct {
		compared
		want string
	}{
		{compared{row: tell, ours: 10, proto: 1, limit: 20, beside: map[string]float64{"chan": 1, "mpsc": 1}}, ""},
		{compared{row: tell, ours: 1.5, proto: 1, beside: map[string]float64{"chan": 3, "mpsc": absent}}, "chan, goakt"},
		{compared{row: tell, ours: 0.5, proto: 1, beside: map[string]float64{"chan": 0, "mpsc": 2}}, "mpsc, proto.actor, goakt"},
		{compared{row: row{less: true}, ours: 0.004, proto: 0.001, beside: map[string]float64{"chan": 0}}, ""},
		{compared{row: row{less: true}, ours: 5, proto: 4, beside: map[string]float64{"chan": 3, "mpsc": 9}}, "chan, proto.actor"},
	} {
		if got := c.behind(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestTheMissionsAimsAreEachKeptOrNamed(t *testing.T) {
	m := missionRow{perS: 10_000, millis: 5, megas: 0.5}
	for _, c := range []struct {
		perS, p99, bytes float64
		want             string
	}{
		{1e6, 500, 500, "met"},
		{0.9e6, 500, 500, "MISSED: throughput"},
		{1e6, 501, 501, "MISSED: latency, memory"},
		{absent, absent, absent, "MISSED: throughput, latency, memory"},
	} {
		if got := m.verdict(c.perS, c.p99, c.bytes); got != c.want {
			t.Errorf("%g/s, %g us, %g B: got %q, want %q", c.perS, c.p99, c.bytes, got, c.want)
		}
	}
}

func TestEachRowStandsForSomethingThatIsMeasured(t *testing.T) {
	ours := programs()
	for _, program := range plan(options{}) {
		if _, ok := ours[program]; !ok {
			t.Errorf("%s is in the plan and no program", program)
		}
	}
	for _, r := range rows() {
		if r.per == 0 || r.figure == "" {
			t.Errorf("%q has no figure or no unit", r.title)
		}
	}
	all := strings.Join(plan(options{proto: true}), " ")
	for _, want := range []string{"proto/tell-1", "proto-lockfree/tell-1", "swap-typed/tell-1", "mpsc/idle", "shard/twin"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not in the plan", want)
		}
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 4567: "4567", math.Inf(1): "-"} {
		if got := number(v); got != want {
			t.Errorf("%g: got %q, want %q", v, got, want)
		}
	}
}
