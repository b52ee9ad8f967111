package plant_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/demo/plant"
	"github.com/atrium-iot/atrium/shared/config"
)

func TestTheCatalogsDocumentsAreValidAndMakeFiveRooms(t *testing.T) {
	text, err := plant.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	docs, err := document.ParseFile(plant.CatalogFile, text)
	if err != nil {
		t.Fatal(err)
	}
	count := map[document.Kind]int{}
	for _, d := range docs {
		count[d.Kind]++
	}
	if count[document.Site] != len(plant.Sites()) || count[document.Room] != 5 {
		t.Errorf("got %v", count)
	}
}

func TestEachSiteHasTenChipsAndItsAddressesFilledIn(t *testing.T) {
	dir := t.TempDir()
	if err := plant.Write(dir, map[string]plant.Addresses{"hq": {Link: "127.0.0.1:1", HTTP: "127.0.0.1:2"}, "lab": {Link: "127.0.0.1:3", HTTP: "127.0.0.1:4"}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range plant.Sites() {
		edge := read(t, plant.Folder(dir, s.Name), "edge.yaml")
		if _, err := config.Parse("edge.yaml", []byte(edge)); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(edge, "profile: "); n != 10 {
			t.Errorf("%s: %d devices, want 10", s.Name, n)
		}
		if strings.Contains(edge, "{{") || !strings.Contains(edge, "127.0.0.1:") {
			t.Errorf("%s: addresses are not filled in:\n%s", s.Name, edge)
		}
		board := read(t, plant.Folder(dir, s.Name), "board.yaml")
		if n := strings.Count(board, "{type: "); n != 10 {
			t.Errorf("%s: %d chips, want 10", s.Name, n)
		}
		for _, device := range []string{s.Heater, s.Sensor.Device} {
			if name := strings.TrimPrefix(device, s.Name+"/"); !strings.Contains(edge, "{name: "+name+",") {
				t.Errorf("%s: there is no device %s", s.Name, device)
			}
		}
		if !strings.Contains(board, "address: "+s.Sensor.Address) {
			t.Errorf("%s: no chip at %s", s.Name, s.Sensor.Address)
		}
	}
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
