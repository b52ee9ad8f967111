package profiles_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestEveryFolderHasAProfileThatCompilesAReadmeAndATranscript(t *testing.T) {
	ids := profiles.IDs()
	if !slices.Contains(ids, "bosch.bme280") || !slices.IsSorted(ids) {
		t.Errorf("device types %v", ids)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(ids, e.Name()) {
			t.Errorf("folder %s is not embedded", e.Name())
		}
	}
	for _, id := range ids {
		p, err := profiles.Load(id)
		if err != nil {
			t.Error(err)
			continue
		}
		readme, err := os.ReadFile(id + "/README.md")
		if err != nil || !strings.HasPrefix(string(readme), "# "+id+"\n") {
			t.Errorf("%s: README.md does not begin with its id: %v", id, err)
		}
		for _, point := range p.Points {
			if !strings.Contains(string(readme), "| "+string(point.Name)+" |") {
				t.Errorf("%s: README.md does not describe %s", id, point.Name)
			}
		}
		if _, err := fs.ReadFile(profiles.FS(), id+"/transcript.txt"); err != nil {
			t.Error(err)
		}
	}
}

func TestThePointsBecomeTheColumnsOfASchema(t *testing.T) {
	p, err := profiles.Load("bosch.bme280")
	if err != nil {
		t.Fatal(err)
	}
	body := p.Body()
	back, err := wire.ParseBody(body.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if back.Profile != "bosch.bme280" || back.Version != 1 || back.Tick != 1e6 || len(back.Columns) != 3 {
		t.Fatalf("body %+v", back)
	}
	if c := back.Columns[0]; c.Point != "temperature" || c.Unit != "Cel" || c.Mantissa != 1 || c.Exponent != -2 || c.Float(2508) != 25.08 {
		t.Errorf("column %+v", c)
	}
}

func TestAnUnknownTypeIsRefusedWithTheKnownOnes(t *testing.T) {
	for _, id := range []string{"acme.none", "", "..", "../shared"} {
		_, err := profiles.Load(id)
		if !errors.Is(err, profiles.ErrUnknown) || !strings.Contains(err.Error(), "ti.tmp102") {
			t.Errorf("Load(%q) = %v", id, err)
		}
	}
}
