package membership

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

func valid() document {
	return document{
		Version: documentVersion, Boot: 1 << 63, Seq: 7,
		Name: "n1", Zone: "north", Program: "v1.2", Core: true, Gate: "n1.example.org:7442", Peer: "[::1]:7443", Capacity: 4,
		Load:     placement.NodeLoad{Rate: 1200.5, CPU: 0.5, Mailbox: 3, Growth: -1},
		Draining: true, StartedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Shards: []int{0, 63}, Gateways: 12,
	}
}

func TestADocumentArrivesAsItWasSaid(t *testing.T) {
	b, err := valid().encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseDocument(b)
	if diff := cmp.Diff(valid(), got); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	said := got.member()
	again := documentOf(said)
	again.Boot, again.Seq = got.Boot, got.Seq
	if diff := cmp.Diff(got, again); diff != "" {
		t.Fatal(diff)
	}
}

// A node of a newer program is not dead for an older one.
func TestAFieldOfANewerProgramIsPassedOver(t *testing.T) {
	b, err := valid().encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseDocument([]byte(strings.Replace(string(b), `"boot"`, `"colour":"red","boot"`, 1)))
	if err != nil || got.Name != "n1" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestAnInvalidDocumentIsRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*document)
		want   string
	}{
		"no boot":      {func(d *document) { d.Boot = 0 }, "boot 0"},
		"no seq":       {func(d *document) { d.Seq = 0 }, "seq 0"},
		"no name":      {func(d *document) { d.Name = "" }, `node ""`},
		"bad name":     {func(d *document) { d.Name = "n.1" }, `node "n.1"`},
		"long zone":    {func(d *document) { d.Zone = strings.Repeat("z", maxWord+1) }, "zone"},
		"long version": {func(d *document) { d.Program = strings.Repeat("v", maxWord+1) }, "version"},
		"bad gate":     {func(d *document) { d.Gate = "n1" }, `address "n1"`},
		"no port":      {func(d *document) { d.Peer = "n1:" }, `address "n1:"`},
		"long peer":    {func(d *document) { d.Peer = strings.Repeat("p", maxAddress) + ":1" }, "address of"},
		"no capacity":  {func(d *document) { d.Capacity = 0 }, "capacity 0"},
		"load":         {func(d *document) { d.Load.CPU = math.Inf(1) }, "CPU"},
		"shard":        {func(d *document) { d.Shards = []int{64} }, "shard 64"},
		"shards":       {func(d *document) { d.Shards = make([]int, 65) }, "65 shards"},
		"gateways":     {func(d *document) { d.Gateways = -1 }, "-1 gateways"},
	} {
		d := valid()
		c.change(&d)
		if _, err := d.encode(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
}

// The longest document that is valid fits.
func TestTheLongestDocumentFits(t *testing.T) {
	d := valid()
	d.Name, d.Zone, d.Program = strings.Repeat("n", 63), strings.Repeat("\x00", maxWord), strings.Repeat("\x00", maxWord)
	d.Gate = strings.Repeat("\x00", 255) + ":7442"
	d.Peer, d.Seq, d.Gateways = d.Gate, math.MaxUint64, math.MaxInt
	d.Load = placement.NodeLoad{Rate: 1e11 / 3, CPU: 1.0 / 3, Mailbox: math.MaxFloat64, Growth: -math.MaxFloat64}
	d.Shards = nil
	for range 64 {
		d.Shards = append(d.Shards, 63)
	}
	if _, err := d.encode(); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseDocument(f *testing.F) {
	b, err := valid().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"boot":1,"seq":1,"name":"a","capacity":1,"shards":[-1]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDocument(b)
		if err != nil {
			return
		}
		again, err := d.encode()
		if err != nil {
			t.Fatalf("what was taken cannot be said: %v", err)
		}
		if got, err := parseDocument(again); err != nil || !got.sameBut(d) || got.Seq != d.Seq {
			t.Fatalf("%+v came back as %+v, %v", d, got, err)
		}
		v := placement.View{Now: noon, Nodes: []placement.Node{{Name: d.Name, Zone: d.Zone, Capacity: d.Capacity, Load: d.Load}}}
		if _, err := placement.Decide(v); err != nil {
			t.Fatalf("placement refuses what was taken: %v", err)
		}
	})
}
