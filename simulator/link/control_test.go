package link

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestTheControlChangesConditionsAndShowsThem(t *testing.T) {
	r := start(t, "127.0.0.1:9")
	h := r.Handler()
	post := func(path string) State {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		var s State
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return s
	}
	if s := post("/cut"); !s.Cut || s.Listen != r.Addr().String() || s.To != "127.0.0.1:9" {
		t.Errorf("%+v", s)
	}
	if s := post("/heal"); s.Cut {
		t.Errorf("%+v", s)
	}
	if s := post("/cut?direction=down"); s.Cut || s.CutUp || !s.CutDown {
		t.Errorf("%+v", s)
	}
	if s := post("/cut?direction=up"); s.Cut || !s.CutUp || s.CutDown {
		t.Errorf("a cut of one way kept the other: %+v", s)
	}
	if s := post("/heal"); s.CutUp {
		t.Errorf("%+v", s)
	}
	if s := post("/block"); !s.BlockUDP || s.Cut {
		t.Errorf("%+v", s)
	}
	post("/unblock")
	post("/duplicate?percent=2")
	post("/delay?ms=20&jitter=5")
	post("/drop?percent=0.5")
	if s := post("/rate?kbps=64"); s.DelayMS != 20 || s.JitterMS != 5 || s.DropPercent != 0.5 || s.RateKbps != 64 {
		t.Errorf("%+v", s)
	}
	if c := r.Conditions(); c != (Conditions{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Drop: 0.5, Duplicate: 2, Kbps: 64}) {
		t.Errorf("%+v", c)
	}
	if s := post("/delay?ms=0"); s.DelayMS != 0 || s.JitterMS != 0 {
		t.Errorf("a delay without jitter kept the old one: %+v", s)
	}
}

// I6: bad input gets an error that names the place, and changes nothing.
func TestTheControlRefusesBadInput(t *testing.T) {
	r := start(t, "127.0.0.1:9")
	h := r.Handler()
	for _, row := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"POST", "/delay", 400, `parameter "ms" is missing`},
		{"POST", "/delay?ms=-1", 400, `parameter "ms": want an integer from 0 to 60000, got "-1"`},
		{"POST", "/delay?ms=20ms", 400, `got "20ms"`},
		{"POST", "/delay?ms=1&jitter=x", 400, `parameter "jitter": want an integer`},
		{"POST", "/delay?ms=1&ms=2", 400, `parameter "ms" is given 2 times`},
		{"POST", "/delay?ms=1&jiter=2", 400, `parameter "jiter" is unknown, want ms, jitter`},
		{"POST", "/drop?percent=101", 400, `parameter "percent": want a number from 0 to 100, got "101"`},
		{"POST", "/drop?percent=NaN", 400, `got "NaN"`},
		{"POST", "/drop?percent=%zz", 400, `invalid URL escape`},
		{"POST", "/rate?kbps=99999999", 400, `from 0 to 10000000`},
		{"POST", "/cut?now=1", 400, `parameter "now" is unknown, want direction`},
		{"POST", "/cut?direction=both", 400, `parameter "direction": want up or down, got "both"`},
		{"POST", "/block?tcp=1", 400, `parameter "tcp" is unknown, want none`},
		{"POST", "/duplicate", 400, `parameter "percent" is missing`},
		{"GET", "/cut", 405, "Method Not Allowed"},
		{"POST", "/state", 405, "Method Not Allowed"},
		{"POST", "/burn", 404, "not found"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(row.method, row.path, nil))
		if w.Code != row.code || !strings.Contains(w.Body.String(), row.want) {
			t.Errorf("%s %s: %d %s, want %d %s", row.method, row.path, w.Code, w.Body, row.code, row.want)
		}
	}
	if c := r.Conditions(); c != (Conditions{}) {
		t.Errorf("a refused request changed %+v", c)
	}
}

func TestDropsAreMetricsByReason(t *testing.T) {
	reg := prometheus.NewRegistry()
	var c counters
	c.register(reg, func() float64 { return 3 }, func() float64 { return 1 }, func() float64 { return 2 })
	c.drop(Down, DropLoss)
	c.drop(Down, DropLoss)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			seen[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"atrium_link_drops_total down loss": 2, "atrium_link_drops_total up loss": 0, "atrium_link_drops_total up cut": 0,
		"atrium_link_packets_total up": 0, "atrium_link_queued_packets": 3, "atrium_link_clients": 1, "atrium_link_tcp_connections": 2,
		"atrium_link_duplicates_total up": 0, "atrium_link_tcp_bytes_total down": 0,
	} {
		if got, ok := seen[name]; !ok || got != want {
			t.Errorf("%s = %v, %v, want %v", name, got, ok, want)
		}
	}
}
