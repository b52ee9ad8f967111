package fault

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// ask does one request and returns the faults of the answer, or its error.
func (b *bench) ask(code int, method, path, body string) (faults []View, text string) {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.set.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != code {
		b.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, w.Code, w.Body, code)
	}
	if w.Code != 200 {
		return nil, w.Body.String()
	}
	var answer struct{ Faults []View }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Faults == nil {
		b.t.Fatalf("%s: %v", w.Body, err)
	}
	return answer.Faults, ""
}

func TestTheControlMakesShowsAndEndsFaults(t *testing.T) {
	in(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.ask(200, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"nack","for":"10s"}`)
		time.Sleep(4 * time.Second)
		b.wantNACK()
		got, _ := b.ask(200, "POST", "/faults", `{"bus":"b","address":32,"kind":"nack","probability":0.5}`)
		want := []View{
			{ID: 1, Bus: "b", Address: "0x48", Kind: "nack", Probability: 1, State: "in force", EndsIn: "6s", Injected: 1},
			{ID: 2, Bus: "b", Address: "0x20", Kind: "nack", Probability: 0.5, State: "in force"},
		}
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got, _ := b.ask(200, "DELETE", "/faults/1", ""); len(got) != 1 || got[0].ID != 2 {
			t.Errorf("after a deletion: %+v", got)
		}
		b.want(1)
		b.ask(404, "DELETE", "/faults/1", "")
		if err := b.set.Plan("f", []byte("faults: [{at: 5s, for: 1s, bus: b, address: 0x48, kind: stuck}]")); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.ask(200, "GET", "/faults", ""); len(got) != 2 || got[1].State != "planned" || got[1].BeginsIn != "5s" || got[1].EndsIn != "6s" {
			t.Errorf("a planned fault is shown as %+v", got)
		}
		if got, _ := b.ask(200, "DELETE", "/faults", ""); len(got) != 0 {
			t.Errorf("left: %+v", got)
		}
	})
}

// I6: bad input gets an error that names the place, and changes nothing.
func TestTheControlRefusesBadInput(t *testing.T) {
	b := newBench(t, 1)
	for _, row := range []struct {
		code               int
		method, path, body string
		want               string
	}{
		{400, "POST", "/faults", ``, `want a JSON object with bus`},
		{400, "POST", "/faults", `[]`, `want a JSON object with bus`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"nack"} {}`, `nothing behind it`},
		{400, "POST", "/faults", `{"bus":"b","adress":"0x48","kind":"nack"}`, `unknown field "adress"`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x80","kind":"nack"}`, `key "address": want an address such as "0x48", got "0x80"`},
		{400, "POST", "/faults", `{"bus":"b","address":-1,"kind":"nack"}`, `got -1`},
		{404, "POST", "/faults", `{"bus":"b","address":"0x49","kind":"nack"}`, `key "address": want one of [0x20 0x48] on bus "b", got 0x49`},
		{404, "POST", "/faults", `{"bus":"c","address":"0x48","kind":"nack"}`, `key "bus": no chip is on a bus "c"`},
		{400, "POST", "/faults", `{"bus":"b","kind":"nack"}`, `key "address": missing; on a GPIO chip it is a line`},
		{404, "POST", "/faults", `{"bus":"g","line":5,"kind":"stuck"}`, `key "line": want one of [line 17 line 27] on GPIO chip "g", got line 5`},
		{400, "POST", "/faults", `{"bus":"g","line":-1,"kind":"stuck"}`, `want a JSON object with bus, address or line`},
		{400, "POST", "/faults", `{"bus":"g","line":27,"kind":"crc"}`, `a line takes unplugged and stuck, not crc`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x48"}`, `key "kind": want unplugged, nack, stuck or crc, got ""`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"nack","for":10}`, `key "for": want a duration such as "10s"`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"nack","for":"-1s"}`, `got "-1s"`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"nack","probability":2}`, `key "probability": want a number above 0 up to 1, got 2`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"stuck","probability":0.5}`, `only nack and crc have one, not stuck`},
		{400, "POST", "/faults", `{"bus":"b","address":"0x20","kind":"stuck"}`, `a counter takes unplugged and nack, not stuck`},
		{413, "POST", "/faults", `{"bus":"` + strings.Repeat("x", maxBody) + `"}`, `too large`},
		{400, "DELETE", "/faults/x", ``, `want the id of a fault, got "x"`},
		{404, "DELETE", "/faults/7", ``, `no fault has the id 7`},
		{405, "PUT", "/faults", ``, `Method Not Allowed`},
		{404, "GET", "/fault", ``, `not found`},
	} {
		if _, text := b.ask(row.code, row.method, row.path, row.body); !strings.Contains(text, row.want) {
			t.Errorf("%s %s %.60s: %q, want %q", row.method, row.path, row.body, text, row.want)
		}
	}
	if left := b.set.Faults(); len(left) != 0 {
		t.Errorf("a refused request made %+v", left)
	}
	for range maxFaults {
		b.ask(200, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"crc"}`)
	}
	b.ask(409, "POST", "/faults", `{"bus":"b","address":"0x48","kind":"crc"}`)
}

func FuzzPost(f *testing.F) {
	f.Add([]byte(`{"bus":"b","address":"0x48","kind":"nack","for":"10s","probability":0.5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New([]Target{{Place: here}, {Place: relay}}, 1, nil)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/faults", strings.NewReader(string(data))))
		if n := len(s.list()); n > 1 || (w.Code == 200) != (n == 1) || w.Code >= 500 {
			t.Errorf("status %d, %d faults", w.Code, n)
		}
		s.remove(func(*active) bool { return true })
	})
}
