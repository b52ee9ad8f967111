package demo

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/plant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fresh() Picture {
	p := Picture{}
	for _, s := range plant.Sites() {
		p.Sites = append(p.Sites, newSitePicture(s))
	}
	return p
}

func TestAnAlarmIsSaidWhenItIsRaisedAndWhenItEnds(t *testing.T) {
	p, now := fresh(), time.Now()
	p.Ready = true
	alarm := client.Alarm{Pipeline: "hq/warm", Device: "hq/t1", State: "active", Text: "too warm", Value: 25}
	p.Apply(now, client.Event{Alarm: &alarm})
	alarm.Value = 26
	p.Apply(now, client.Event{Alarm: &alarm})
	if len(p.Sites[0].Alarms) != 1 || p.Sites[0].Alarms[0].Value != 26 || len(p.Log) != 1 {
		t.Fatalf("alarms %+v, log %+v", p.Sites[0].Alarms, p.Log)
	}
	alarm.State = "cleared"
	p.Apply(now, client.Event{Alarm: &alarm})
	if len(p.Sites[0].Alarms) != 0 || len(p.Log) != 2 || !strings.HasPrefix(p.Log[1].Text, "cleared: hq/t1") {
		t.Errorf("alarms %+v, log %+v", p.Sites[0].Alarms, p.Log)
	}
}

func TestAnAlarmWhosePipelineIsGoneIsNotShown(t *testing.T) {
	p, now := fresh(), time.Now()
	p.Ready = true
	alarm := client.Alarm{Pipeline: "hq/warm", Device: "hq/t1", Stage: 1, State: "active"}
	p.Apply(now, client.Event{Alarm: &alarm})
	p.Apply(now, client.Event{Gone: &client.Gone{Kind: "alarm", Name: "hq/warm", Device: "hq/t1", Stage: 1}})
	if len(p.Sites[0].Alarms) != 0 {
		t.Errorf("deleted while the stream is open: %+v", p.Sites[0].Alarms)
	}
	p.Apply(now, client.Event{Alarm: &alarm})
	p.Broken()
	p.Apply(now, client.Event{Ready: &struct{}{}})
	if len(p.Sites[0].Alarms) != 0 {
		t.Errorf("deleted while the cloud was down: %+v", p.Sites[0].Alarms)
	}
	said := len(p.Log)
	p.Broken()
	p.Apply(now, client.Event{Alarm: &alarm})
	if len(p.Sites[0].Alarms) != 1 || len(p.Log) != said {
		t.Errorf("still active after the cloud was down: %+v, log %+v", p.Sites[0].Alarms, p.Log)
	}
}

func TestCountsOfAGatewayThatWasKilledAddUp(t *testing.T) {
	var s SitePicture
	for _, n := range []uint64{10, 100} {
		s.edge(EdgeStatus{Sampled: n, Committed: n, Acked: n - 8, SentBytes: 2 * n})
	}
	for _, n := range []uint64{13, 28} { // a new life, which found 8 readings
		s.edge(EdgeStatus{Sampled: n, Committed: n, Acked: n, Recovered: 8, SentBytes: 2 * n})
	}
	if want := (Flow{Sampled: 120, Committed: 120, BytesEach: 256. / 120}); s.Flow() != want {
		t.Errorf("got %+v, want %+v", s.Flow(), want)
	}
}

func TestWhatIsAppliedWasSampledAlsoIfAKilledGatewayDidNotSaySo(t *testing.T) {
	s := SitePicture{Applied: 130}
	for _, sampled := range []uint64{100, 20} { // 10 more were sampled and sent before the kill
		s.edge(EdgeStatus{Sampled: sampled, Committed: sampled})
	}
	if f := s.Flow(); f.Sampled < f.Committed || f.Committed < f.Applied || f.Applied != 130 {
		t.Errorf("got %+v", f)
	}
}

func TestATrendSurvivesARoomsChanges(t *testing.T) {
	p, now := fresh(), time.Now()
	s := &p.Sites[0]
	for i := range trendLength + 5 {
		room := client.Room{Room: "hq/lobby", Aggregates: []client.Aggregate{{Point: "temperature", Mean: float64(i)}}}
		p.Apply(now, client.Event{Room: &room})
		s.trend(now)
		s.trend(now.Add(trendEvery / 2)) // too soon: nothing
		now = now.Add(trendEvery)
	}
	if n := len(s.Rooms[0].Trend); n != trendLength || s.Rooms[0].Trend[n-1] != trendLength+4 {
		t.Errorf("trend %v", s.Rooms[0].Trend)
	}
	p.Apply(now, client.Event{Gone: &client.Gone{Kind: "room", Name: "hq/lobby"}})
	if len(s.Rooms) != 0 {
		t.Error("a room that is gone is shown")
	}
}

func TestAPictureThatWasHandedOutDoesNotChange(t *testing.T) {
	p, now := fresh(), time.Now()
	device := client.Device{Device: "hq/t1", Liveness: "live"}
	p.Apply(now, client.Event{Device: &device})
	given := p.clone()
	device.Liveness = "silent"
	p.Apply(now, client.Event{Device: &device})
	p.say(now, "later")
	if given.Sites[0].Devices[0].Liveness != "live" || len(given.Log) != 0 {
		t.Errorf("got %+v", given)
	}
}

func TestWhatIsOfNoSiteIsIgnored(t *testing.T) {
	p := fresh()
	p.Apply(time.Now(), client.Event{Device: &client.Device{Device: "elsewhere/t1"}})
	for _, s := range p.Sites {
		if len(s.Devices) != 0 {
			t.Errorf("%s has %v", s.Name, s.Devices)
		}
	}
}
