package screen

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/cloud/demo/plant"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the moment of all pictures here.
func noon() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.Local) }

// picture is a demonstration in which much goes wrong at once.
func picture() demo.Picture {
	at := noon()
	ago := func(d time.Duration) time.Time { return at.Add(-d) }
	room := func(name, title string, live int, aggregates ...client.Aggregate) demo.RoomPicture {
		r := demo.RoomPicture{Room: client.Room{Room: name, Title: title, Live: live, Devices: []string{"a", "b", "c"}, Aggregates: aggregates}}
		for i := range 30 {
			r.Trend = append(r.Trend, 20+float64(i%7))
		}
		return r
	}
	num := func(point, unit string, mean float64) client.Aggregate {
		return client.Aggregate{Point: point, Unit: unit, Count: 3, Mean: mean, Any: mean != 0}
	}
	device := func(name, liveness string, age time.Duration, points ...client.Point) client.Device {
		for i := range points {
			points[i].SampledAt = ago(age)
		}
		return client.Device{Device: name, Liveness: liveness, Points: points}
	}
	point := func(name, unit, kind string, v float64) client.Point {
		return client.Point{Point: name, Unit: unit, Kind: kind, Value: &v, Quality: "good"}
	}
	eta := uint64(1500)
	sites := plant.Sites()
	hq := demo.SitePicture{
		Name: "hq", Plant: sites[0], Cut: true, Broken: true, Gateway: demo.Health{Up: true}, Applied: 12_345,
		Rooms: []demo.RoomPicture{
			room("hq/lobby", "Lobby", 3, num("humidity", "%RH", 44), num("motion", "1", 1), num("temperature", "Cel", 21.43)),
			room("hq/office", "Office", 2, num("on", "1", 1), num("temperature", "Cel", 23.9)),
			room("hq/office/rack", "Server rack with a long name", 3, num("temperature", "Cel", 27.06)),
		},
		Devices: []client.Device{
			device("hq/lobby-temp", "live", 300*time.Millisecond, point("temperature", "Cel", "number", 21.4375)),
			device("hq/office-air", "silent", 45*time.Second, point("temperature", "Cel", "number", 23.9), point("humidity", "%RH", "number", 41.2)),
			device("hq/office-heater", "live", time.Second, point("on", "1", "boolean", 1)),
			device("hq/count", "live", 100*time.Millisecond, point("count", "1", "counter", 123456)),
		},
		Alarms: []client.Alarm{{Pipeline: "hq/office-too-warm", Device: "hq/office-air", State: "active", Severity: "warning", Text: "the office is above 24 degrees", Value: 24.3, Threshold: 24}},
	}
	hq.Edge = demo.Edge{Known: true, EdgeStatus: demo.EdgeStatus{Mode: "spill", Sampled: 12_800, Committed: 12_700, Acked: 12_345, SentBytes: 40_000, DrainETAMS: &eta}}
	hq.Edge.Buffer.Readings, hq.Edge.Buffer.Bytes, hq.Edge.Buffer.OldestAgeMS = 455, 5300, 9000
	lab := demo.SitePicture{
		Name: "lab", Plant: sites[1], Gateway: demo.Health{Since: ago(2 * time.Second)},
		Rooms: []demo.RoomPicture{room("lab/cold-store", "Cold store", 0), room("lab/hall", "Test hall", 3, num("temperature", "Cel", 19))},
	}
	return demo.Picture{
		API: "http://127.0.0.1:7480", Begin: ago(time.Minute), Now: at, Cloud: demo.Health{Up: true}, Ready: true,
		Sites: []demo.SitePicture{hq, lab},
		Log:   []demo.LogLine{{At: ago(9 * time.Second), Text: "cut the link of hq: its buffer grows, nothing is lost"}, {At: ago(2 * time.Second), Text: "killed the gateway of lab (kill -9): it comes back in 3 s"}},
	}
}

func TestTheScreenFillsTheTerminalExactly(t *testing.T) {
	for _, s := range []struct{ width, height int }{{80, 24}, {200, 60}, {72, 20}, {124, 30}, {300, 100}} {
		v := view{Picture: picture(), note: "killed the gateway of lab"}
		text := v.render(s.width, s.height)
		lines := strings.Split(text, "\n")
		if len(lines) != s.height {
			t.Errorf("%dx%d: %d lines", s.width, s.height, len(lines))
		}
		for i, l := range lines {
			if w := ansi.StringWidth(l); w != s.width {
				t.Errorf("%dx%d: line %d is %d wide: %q", s.width, s.height, i+1, w, ansi.Strip(l))
			}
		}
	}
}

func TestTheScreenShowsWhatAPersonNeeds(t *testing.T) {
	for _, s := range []struct{ width, height int }{{80, 24}, {200, 60}} {
		v := view{Picture: picture(), note: "killed the gateway of lab"}
		text := ansi.Strip(v.render(s.width, s.height))
		lines := strings.Split(text, "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		text = strings.Join(lines, "\n") + "\n"
		golden(t, fmt.Sprintf("%dx%d.txt", s.width, s.height), text)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestAnEmptyPictureIsDrawn(t *testing.T) {
	if got := (view{}).render(80, 24); !strings.Contains(ansi.Strip(got), "Atrium demo") {
		t.Errorf("got %q", got)
	}
}

// script is a feed that remembers what it was told.
type script struct {
	p    demo.Picture
	did  []string
	said []string
	err  error
}

func (s *script) Picture() demo.Picture { return s.p }

func (s *script) Do(_ context.Context, a demo.Action, site int) (string, error) {
	s.did = append(s.did, fmt.Sprint(a, " ", site))
	return "done", s.err
}

func (s *script) Say(text string) { s.said = append(s.said, text) }

// press gives a key to the model and runs what it asks for.
func press(m *model, keys ...string) (quit bool) {
	for _, k := range keys {
		msg := tea.KeyPressMsg{Text: k}
		if k == "tab" {
			msg = tea.KeyPressMsg{Code: tea.KeyTab}
		} else {
			msg.Code = []rune(k)[0]
		}
		_, cmd := m.Update(msg)
		if cmd == nil {
			continue
		}
		after := cmd()
		if _, ok := after.(tea.QuitMsg); ok {
			return true
		}
		m.Update(after)
	}
	return false
}

func TestKeysActOnTheSelectedSite(t *testing.T) {
	s := &script{p: picture()}
	m := &model{ctx: t.Context(), feed: s, view: view{Picture: s.p}}
	if press(m, "c", "tab", "g", "n", "b", "r", "x", "tab", "c") {
		t.Fatal("a key ended the view")
	}
	want := []string{
		fmt.Sprint(demo.SwitchLink, " ", 0), fmt.Sprint(demo.KillGateway, " ", 1), fmt.Sprint(demo.KillCloud, " ", 1),
		fmt.Sprint(demo.SwitchSensor, " ", 1), fmt.Sprint(demo.SwitchHeater, " ", 1), fmt.Sprint(demo.SwitchLink, " ", 0),
	}
	if d := cmp.Diff(want, s.did); d != "" {
		t.Error(d)
	}
	s.err = errors.New("no such link")
	press(m, "c")
	if m.view.note != "no such link" || s.said[len(s.said)-1] != "no such link" {
		t.Errorf("a failed action says %q", m.view.note)
	}
}

// slow is a feed whose actions take until it is told.
type slow struct {
	script
	ended chan struct{}
}

func (s *slow) Do(ctx context.Context, _ demo.Action, _ int) (string, error) {
	<-ctx.Done()
	close(s.ended)
	return "", ctx.Err()
}

func TestNoActionComesAfterTheEndOfTheView(t *testing.T) {
	s := &slow{ended: make(chan struct{})}
	in, keys := io.Pipe()
	go func() {
		_, _ = io.WriteString(keys, "rv")
	}()
	if end, err := Show(t.Context(), s, in, io.Discard); err != nil || end != Verify {
		t.Fatalf("end %d, %v", end, err)
	}
	keys.Close()
	select {
	case <-s.ended:
	default:
		t.Error("the action goes on")
	}
}

func TestVAndQEndTheViewDifferently(t *testing.T) {
	for key, want := range map[string]End{"v": Verify, "q": Quit} {
		m := &model{ctx: t.Context(), feed: &script{}}
		if !press(m, key) || m.end != want {
			t.Errorf("%s: end %d", key, m.end)
		}
	}
}

func TestLinesSayEachThingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{p: picture()}
		ctx, cancel := context.WithTimeout(t.Context(), 2*linesEvery+time.Second)
		defer cancel()
		var out bytes.Buffer
		if err := Lines(ctx, s, &out); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "cut the link of hq"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &out)
		}
		if n := strings.Count(out.String(), "lab  gateway down"); n != 3 {
			t.Errorf("state said %d times, want 3:\n%s", n, &out)
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Error("plain lines have escapes")
		}
	})
}
