package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxBody bounds a request: a fault has five short keys.
	maxBody = 4 << 10
	// maxFor is the longest fault that has an end, as in a scenario file.
	maxFor = 1000 * time.Hour
)

// View is a fault as the control shows it.
type View struct {
	ID          uint64  `json:"id"`
	Bus         string  `json:"bus"`
	Address     string  `json:"address,omitempty"` // "0x48"
	Line        *uint16 `json:"line,omitempty"`    // of a GPIO chip
	Kind        string  `json:"kind"`
	Probability float64 `json:"probability"`
	State       string  `json:"state"`               // "planned" or "in force"
	BeginsIn    string  `json:"begins_in,omitempty"` // of a planned one: "10s"
	EndsIn      string  `json:"ends_in,omitempty"`   // absent: it has no end
	Injected    uint64  `json:"injected"`            // transactions that it changed
}

// Faults returns the faults that are not over, the oldest first.
func (s *Set) Faults() []View {
	at := time.Since(s.start)
	views := []View{}
	for _, a := range s.list() {
		v := View{
			ID: a.id, Bus: a.Bus, Kind: a.Kind.String(),
			Probability: a.Probability, State: "in force", Injected: a.injected,
		}
		if a.Line {
			v.Line = &a.Address
		} else {
			v.Address = a.Place.String()
		}
		if !a.InForce(at) {
			v.State, v.BeginsIn = "planned", (a.Begin - at).Round(time.Millisecond).String()
		}
		if a.End != 0 {
			v.EndsIn = (a.End - at).Round(time.Millisecond).String()
		}
		views = append(views, v)
	}
	return views
}

// request is the body of POST /faults.
type request struct {
	Bus         string   `json:"bus"`
	Address     *address `json:"address"` // or
	Line        *uint16  `json:"line"`    // of a GPIO chip
	Kind        string   `json:"kind"`
	For         duration `json:"for"`         // absent: until it is deleted
	Probability *float64 `json:"probability"` // absent: 1
}

// address is written "0x48", "72" or 72.
type address uint16

func (a *address) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(string(bytes.Trim(b, `"`)), 0, 7)
	if err != nil {
		return &refusal{key: "address", text: fmt.Sprintf(`want an address such as "0x48", got %s`, b)}
	}
	*a = address(v)
	return nil
}

// duration is written "10s".
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	v, err := time.ParseDuration(string(bytes.Trim(b, `"`)))
	if err != nil || v < time.Millisecond || v > maxFor {
		return &refusal{key: "for", text: fmt.Sprintf(`want a duration such as "10s", from 1ms to %v, got %s`, maxFor, b)}
	}
	*d = duration(v)
	return nil
}

// Handler is the control: GET /faults, POST /faults with a JSON body such as
// {"bus":"sim-i2c-1","address":"0x48","kind":"nack","for":"10s"} or
// {"bus":"sim-gpio-0","line":27,"kind":"stuck"}, DELETE
// /faults for all and /faults/{id} for one. Each answers with the faults that
// are then not over. What it does not take gets a line that says what it wants,
// and changes nothing: status 400, 404 where the chip or the fault is not there,
// 409 when there are too many, 413 for a long body.
func (s *Set) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { s.answer(w) })
	mux.HandleFunc("POST /faults", s.post)
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.remove(func(*active) bool { return true })
		s.answer(w)
	})
	mux.HandleFunc("DELETE /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
		if err != nil {
			http.Error(w, fmt.Sprintf("want the id of a fault, got %q", r.PathValue("id")), http.StatusBadRequest)
			return
		}
		if s.remove(func(a *active) bool { return a.id == id }) == 0 {
			http.Error(w, fmt.Sprintf("no fault has the id %d", id), http.StatusNotFound)
			return
		}
		s.answer(w)
	})
	return mux
}

func (s *Set) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	// The one error is that the client has left.
	_ = json.NewEncoder(w).Encode(map[string]any{"faults": s.Faults()})
}

func (s *Set) post(w http.ResponseWriter, r *http.Request) {
	o, err := s.read(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = s.add(o)
	}
	if err != nil {
		http.Error(w, err.Error(), status(err))
		return
	}
	s.answer(w)
}

// status is the HTTP status of an error of post.
func status(err error) int {
	var bad *refusal
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &bad) && bad.absent:
		return http.StatusNotFound
	case errors.Is(err, errFull):
		return http.StatusConflict
	case errors.As(err, &long):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// read reads one fault strictly.
func (s *Set) read(body io.Reader) (order, error) {
	var q request
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return order{}, fmt.Errorf("body: want a JSON object with bus, address or line, kind, for and probability: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return order{}, errors.New("body: want one JSON object and nothing behind it")
	}
	kind, ok := parseKind(q.Kind)
	if !ok {
		return order{}, unknownKind(q.Kind)
	}
	place, bad := placeOf(q.Bus, (*uint16)(q.Address), q.Line)
	if bad != nil {
		return order{}, bad
	}
	f := Fault{Place: place, Kind: kind, End: time.Duration(q.For), Probability: 1}
	if q.Probability != nil {
		f.Probability = *q.Probability
	}
	o, bad := s.find(f)
	if bad != nil {
		return order{}, bad
	}
	return o, nil
}
