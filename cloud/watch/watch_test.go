package watch

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
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
	"github.com/atrium-iot/atrium/shared/id"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noon() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }

func device(name, liveness string, age time.Duration, points ...client.Point) client.Event {
	for i := range points {
		points[i].SampledAt = noon().Add(-age)
	}
	return client.Event{Device: &client.Device{Device: name, Gateway: "hq/gw-1", Profile: "bosch.bme280", Liveness: liveness, Points: points}}
}

func point(name, unit, kind, quality string, v float64) client.Point {
	return client.Point{Point: name, Unit: unit, Kind: kind, Value: &v, Quality: quality}
}

func alarm(device, severity, state string) client.Event {
	return client.Event{Alarm: &client.Alarm{Pipeline: "hq/too-warm", Device: device, Severity: severity, State: state, Text: "too warm", Value: 27.3, Threshold: 26, RaisedAt: noon().Add(-90 * time.Second)}}
}

// events are a whole state with much to show.
func events() []client.Event {
	all := []client.Event{
		{Site: &client.Summary{Site: "hq"}},
		{Site: &client.Summary{Site: "lab"}},
		device("hq/office-air", "live", 300*time.Millisecond, point("temperature", "Cel", "number", "good", 23.91), point("humidity", "%RH", "number", "suspect", 41.2)),
		device("hq/broken", "live", 45*time.Second, point("temperature", "Cel", "number", "bad", 21.5)),
		device("hq/heater", "live", time.Second, point("on", "1", "boolean", "good", 1)),
		device("hq/gone", "silent", 3*time.Hour, point("count", "1", "counter", "good", 123456)),
		device("hq/a-device-with-a-name-that-is-longer-than-its-column", "unknown", 0),
		alarm("hq/office-air", "warning", "active"),
		alarm("hq/rack", "critical", "active"),
	}
	for i := range 30 {
		all = append(all, device(fmt.Sprintf("lab/t%02d", i), "live", time.Second, point("temperature", "Cel", "number", "good", float64(i))))
	}
	return append(all, client.Event{Ready: &struct{}{}})
}

func pictured(t *testing.T) (p Picture) {
	t.Helper()
	for _, e := range events() {
		if err := p.Event(noon(), e); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestTheViewShowsWhatAPersonNeeds(t *testing.T) {
	for _, s := range []struct{ width, height int }{{80, 24}, {200, 50}} {
		v := view{Picture: pictured(t), api: "http://127.0.0.1:7480", at: noon()}
		lines := strings.Split(ansi.Strip(v.render(s.width, s.height)), "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		golden(t, fmt.Sprintf("%dx%d.txt", s.width, s.height), strings.Join(lines, "\n")+"\n")
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

func TestTheViewFillsTheTerminalExactly(t *testing.T) {
	full := pictured(t)
	for _, p := range []Picture{{}, full} {
		for _, s := range []struct{ width, height int }{{80, 24}, {200, 60}, {MinWidth, MinHeight}, {130, 12}} {
			lines := strings.Split(view{Picture: p, at: noon(), offset: 99}.render(s.width, s.height), "\n")
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
}

func TestWhatWasKnownIsShownUntilAStreamHasToldEverythingAnew(t *testing.T) {
	p := pictured(t)
	_ = p.Broken(noon(), client.ErrStreamEnded)
	_ = p.Event(noon(), device("hq/new", "live", 0))
	if got := p.devices(); len(got) != 35 {
		t.Errorf("%d devices while the state comes in, want the 35 that were known", len(got))
	}
	if text := ansi.Strip(view{Picture: p, at: noon().Add(5 * time.Second)}.render(120, 24)); !strings.Contains(text, "connection lost 5.0 s ago") {
		t.Errorf("the view does not say so:\n%s", text)
	}
	_ = p.Event(noon(), client.Event{Ready: &struct{}{}})
	if got := p.devices(); len(got) != 1 || got[0].Device != "hq/new" || p.fault != nil {
		t.Errorf("after Ready: %v, fault %v: what is gone stays", got, p.fault)
	}
}

func TestAnAlarmThatIsClearedOrGoneIsNotShown(t *testing.T) {
	p := pictured(t)
	if all := p.alarms(); len(all) != 2 || all[0].Severity != "critical" {
		t.Fatalf("alarms %v, want the critical one first", all)
	}
	_ = p.Event(noon(), alarm("hq/rack", "critical", "cleared"))
	_ = p.Event(noon(), client.Event{Gone: &client.Gone{Kind: "alarm", Name: "hq/too-warm", Device: "hq/office-air"}})
	if all := p.alarms(); len(all) != 0 {
		t.Errorf("left: %v", all)
	}
}

func TestKeysScroll(t *testing.T) {
	m := &model{feed: &feed{}, view: view{Picture: pictured(t), at: noon()}, width: 80, height: 24}
	press := func(k tea.Key) tea.Cmd { _, cmd := m.Update(tea.KeyPressMsg(k)); return cmd }
	press(tea.Key{Code: tea.KeyUp})
	press(tea.Key{Code: tea.KeyPgDown})
	press(tea.Key{Code: tea.KeyDown})
	if m.view.offset != 13 {
		t.Errorf("offset %d, want 13", m.view.offset)
	}
	for range 9 {
		press(tea.Key{Code: tea.KeyPgDown})
	}
	press(tea.Key{Code: tea.KeyUp})
	if text := ansi.Strip(m.view.render(80, 24)); !strings.Contains(text, "devices 18 to 34 of 35") {
		t.Errorf("one up from the end does not move:\n%s", text)
	}
	if cmd := press(tea.Key{Code: 'q', Text: "q"}); cmd == nil {
		t.Error("q does not end the view")
	}
}

// streams is a source of some streams, one after the other: each brings events
// and then its error.
type streams []struct {
	events []client.Event
	err    error
}

func (s *streams) Stream(ctx context.Context, _ ...id.Site) iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		if len(*s) == 0 {
			<-ctx.Done()
			yield(client.Event{}, ctx.Err())
			return
		}
		now := (*s)[0]
		*s = (*s)[1:]
		for _, e := range now.events {
			if !yield(e, nil) {
				return
			}
		}
		yield(client.Event{}, now.err)
	}
}

func TestABrokenStreamIsOpenedAgainAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s := &streams{
			{[]client.Event{device("hq/t1", "live", 0, point("temperature", "Cel", "number", "good", 21))}, client.ErrStreamEnded},
			{nil, errors.New("connection refused")},
			{[]client.Event{alarm("hq/t1", "warning", "active"), {Command: &client.Command{Device: "hq/relay", Command: "set", State: "done"}}}, client.ErrStreamEnded},
		}
		var out bytes.Buffer
		if err := Follow(ctx, s, nil, Lines{&out}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"hq/t1  live  21.00 °C", "connection lost (the node ended the stream), trying again", "connection lost (connection refused)", "hq/t1  alarm active: too warm (27.30, limit 26.00)", "hq/relay  command set: done"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, &out)
			}
		}
	})
}

func TestANodeThatIsNotThereOrRefusesIsAnError(t *testing.T) {
	down := errors.New("connection refused")
	if err := Follow(t.Context(), &streams{{nil, down}}, nil, &Picture{}); !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
	refused := &client.Error{Status: 404, Detail: "no site hq here"}
	s := &streams{{[]client.Event{{Ready: &struct{}{}}}, refused}}
	if err := Follow(t.Context(), s, nil, &Picture{}); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

func TestJSONIsAnEventALine(t *testing.T) {
	var out, faults bytes.Buffer
	j := JSON{&out, &faults}
	_ = j.Event(noon(), client.Event{Ready: &struct{}{}})
	_ = j.Broken(noon(), client.ErrStreamEnded)
	if out.String() != "{\"ready\":{}}\n" || !strings.Contains(faults.String(), "connection lost") {
		t.Errorf("out %q, errors %q", &out, &faults)
	}
}
