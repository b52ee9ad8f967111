package pipeline

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
)

func compile(t testing.TB, text string) *Pipeline {
	t.Helper()
	p, err := Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPipelineSaysWhoseReadingsItTakes(t *testing.T) {
	p := compile(t, "kind: pipeline\nname: hq/p\ntitle: A\nfrom: {devices: [t1], rooms: [a/b]}\npoints: [x, y]\nstages: [{window: {every: 1m, of: y}}]\n")
	want := Source{Devices: []string{"t1"}, Rooms: []string{"a/b"}, Points: []id.Point{"x", "y"}}
	if diff := cmp.Diff(want, p.Source()); diff != "" || p.Name.String() != "hq/p" || p.Title != "A" {
		t.Errorf("%s %s %s", p.Name, p.Title, diff)
	}
	p.Source().Points[0] = "z"
	if p.Source().Points[0] != "x" {
		t.Error("a caller changed the pipeline")
	}
}

func TestAStateKeepsTheNewestValueAndKnowsItsAlarmsBeforeTheFirstRow(t *testing.T) {
	p := compile(t, "kind: pipeline\nname: hq/p\npoints: [x]\nstages: [{derive: {name: q, expr: x * 2}}, {alarm: {above: 3}}]\n")
	var s State
	if a := p.Alarms(&s); len(a) != 1 || a[0].State != Inactive || a[0].Threshold != 3 || s.SeenAt != 0 {
		t.Fatalf("fresh: %+v", a)
	}
	var out Output
	p.Step(base, &s, id.Run{1}, 1, []Row{{base - 1, []float64{2}}, {base - 3, []float64{9}}}, &out)
	p.Step(base, &s, id.Run{2}, 1, []Row{{base - 2, []float64{1}}}, &out)
	if s.SeenAt != base-1 || s.Value != 4 {
		t.Fatalf("newest %+v", s)
	}
	want := Latch{State: Active, SeenAt: base - 1, Value: 4, Since: base - 3, RaisedAt: base - 3, Raised: 1}
	if a := p.Alarms(&s); a[0].Latch != want {
		t.Fatalf("%+v, want %+v", a[0].Latch, want)
	}
}

// TestAStateIsSmall: a site holds one for each pipeline and device (I5).
func TestAStateIsSmall(t *testing.T) {
	p := compile(t, chain)
	var s State
	var out Output
	p.Step(base, &s, id.Run{1}, 1, []Row{{base - 12e6, []float64{6.123456789, 2}}, {base - 1, []float64{7.123456789, 3}}}, &out)
	b, err := cbor.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 200 {
		t.Errorf("%d bytes", len(b))
	}
}

// TestTheLanguagesDocumentIsTrue parses each example of docs/pipelines.md, which
// shows its stages in words too.
func TestTheLanguagesDocumentIsTrue(t *testing.T) {
	b, err := os.ReadFile("../../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		p, err := Parse("docs/pipelines.md", []byte(e[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, words := range p.Stages() {
			if !strings.Contains(string(b), "\n"+words+"\n") {
				t.Errorf("docs/pipelines.md: %s lacks the stage in words: %s", p.Name, words)
			}
		}
	}
}

// FuzzParse: whatever is refused has a place, and whatever compiles runs.
func FuzzParse(f *testing.F) {
	f.Add([]byte(chain))
	f.Add([]byte("kind: pipeline\nname: a/b\nfrom: {rooms: [x/y]}\npoints: [a]\nstages: [{window: {every: 1s}}, {derive: {name: b, expr: mean/count}}, {alarm: {below: 1, clear: 2, for: 1s}}]\n"))
	f.Add([]byte("kind: pipeline\nname: a/b\npoints: [a]\nstages: [{filter: a}, {}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("p.yaml", data)
		if err != nil {
			var e *config.Error
			if p != nil || !errors.As(err, &e) || e.File != "p.yaml" || e.Text == "" {
				t.Fatalf("not a placed error: %#v", err)
			}
			return
		}
		v := make([]float64, len(p.Source().Points))
		for i := range v {
			v[i] = float64(i + 1)
		}
		var s State
		var out Output
		p.Step(base, &s, id.Run{1}, 1, []Row{{base - 90e6, v}, {base, v}, {base - 180e6, v}}, &out)
		p.Tick(p.Due(&s), &s, &out)
		if p.Due(&s) != 0 || len(p.Alarms(&s)) != p.alarms || len(p.Stages()) == 0 {
			t.Fatal("a window stayed open")
		}
	})
}

// steady is a chain in its steady state: each frame brings ten rows of a
// second each, so that windows close and an alarm is looked at.
func steady(tb testing.TB) (step func()) {
	p := compile(tb, `
kind: pipeline
name: hq/dew
points: [temperature, humidity]
stages:
  - filter: "humidity > 0"
  - derive: {name: dew, expr: "temperature - (100 - humidity) / 5", unit: Cel}
  - window: {every: 10s}
  - alarm: {above: 18, clear: 17, for: 1m}
`)
	var s State
	var out Output
	rows := make([]Row, 10)
	now, seq := base, uint64(0)
	for i := range rows {
		rows[i].V = []float64{21, 40 + float64(i)}
	}
	return func() {
		seq++
		for i := range rows {
			now += second
			rows[i].At = now
		}
		p.Step(now, &s, id.Run{1}, seq, rows, &out)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	step := steady(t)
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkStep is one row through filter, derive, window and alarm, in frames
// of ten.
func BenchmarkStep(b *testing.B) {
	step := steady(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%10 == 0 {
			step()
		}
	}
}
