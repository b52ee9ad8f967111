package peer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// line is a shard and its stream as a subscriber's follower reads it: the names
// of what has changed and is not told yet, then what it is when it is told.
type line struct {
	state map[string]int // rooms and alarms by name
	queue []string
	f     follower
	shown map[string]int
	ready int
}

func (l *line) open() {
	l.queue = nil
	for name := range l.state {
		l.queue = append(l.queue, name)
	}
	l.queue = append(l.queue, "ready")
	l.f.told.begin()
}

func (l *line) change(name string, n int) {
	if l.state[name] = n; n == 0 {
		delete(l.state, name)
	}
	l.queue = append(l.queue, name)
}

// tell hands the subscriber the next n events.
func (l *line) tell(n int) {
	var some []client.Event
	for _, name := range l.queue[:n] {
		some = append(some, l.event(name))
	}
	l.queue = l.queue[n:]
	b := l.f.take(some, false)
	if b.ready {
		l.ready++
	}
	for _, e := range b.events {
		switch {
		case e.Ready != nil:
			panic("a shard's ready was handed on")
		case e.Room != nil:
			l.shown[e.Room.Room] = e.Room.Live
		case e.Alarm != nil:
			l.shown[e.Alarm.Device] = e.Alarm.Stage
		case e.Gone.Kind == "alarm":
			delete(l.shown, e.Gone.Device)
		default:
			delete(l.shown, e.Gone.Name)
		}
	}
}

func (l *line) event(name string) client.Event {
	n, has := l.state[name]
	alarm := strings.HasPrefix(name, "a")
	switch {
	case name == "ready":
		return client.Event{Ready: new(struct{})}
	case has && alarm:
		return client.Event{Alarm: &client.Alarm{Device: name, Stage: n}}
	case has:
		return client.Event{Room: &client.Room{Room: name, Live: n}}
	case alarm:
		return client.Event{Gone: &client.Gone{Kind: "alarm", Device: name, Stage: 1}}
	}
	return client.Event{Gone: &client.Gone{Kind: "room", Name: name}}
}

// Whatever changes and however often the stream breaks, once it has told what
// waits the subscriber shows what the shard holds.
func TestASubscriberShowsWhatTheShardHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &line{state: map[string]int{}, shown: map[string]int{}}
		l.open()
		names := []string{"r1", "r2", "r3", "a1", "a2"}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "name")
				top := 9
				if name[0] == 'a' {
					top = 1 // its stage, which is part of its name
				}
				l.change(name, rapid.IntRange(0, top).Draw(t, "value"))
			},
			"tell":  func(t *rapid.T) { l.tell(rapid.IntRange(0, len(l.queue)).Draw(t, "events")) },
			"break": func(*rapid.T) { l.open() },
		})
		l.tell(len(l.queue))
		if !maps.Equal(l.shown, l.state) || l.ready != 1 {
			t.Fatalf("shown %v, want %v; ready %d times", l.shown, l.state, l.ready)
		}
		if len(l.f.told.known) != len(l.state) {
			t.Fatalf("%d names are kept of %d", len(l.f.told.known), len(l.state))
		}
	})
}

func framesOf(b []byte) *remote {
	s := &remote{body: io.NopCloser(bytes.NewReader(nil)), lines: bufio.NewScanner(bytes.NewReader(b))}
	s.lines.Buffer(nil, maxFrame)
	return s
}

// Events come as they were sent, in frames of a bounded length: a room of very
// many devices is one long event, and many of them are not one frame.
func TestEventsPassInBoundedFrames(t *testing.T) {
	devices := make([]string, 3000)
	for i := range devices {
		devices[i] = fmt.Sprintf("hq/%060d", i)
	}
	var sent []client.Event
	for i := range 10 {
		sent = append(sent, client.Event{Room: &client.Room{Room: fmt.Sprintf("hq/r%d", i), Devices: devices}}, client.Event{Ready: new(struct{})})
	}
	for _, more := range []bool{false, true} {
		var wire bytes.Buffer
		if err := writeFrames(&wire, sent, more); err != nil {
			t.Fatal(err)
		}
		s, frames := framesOf(wire.Bytes()), 0
		var got []client.Event
		for len(got) < len(sent) {
			some, also, err := s.next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, some...)
			frames++
			if want := more || len(got) < len(sent); also != want {
				t.Errorf("frame %d says more: %v, want %v", frames, also, want)
			}
		}
		if frames < 5 || !reflect.DeepEqual(got, sent) {
			t.Errorf("%d events in %d frames", len(got), frames)
		}
		if _, _, err := s.next(context.Background()); !errors.Is(err, errEnded) {
			t.Errorf("after the last frame: %v", err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"events":[{"ready":{}}],"more":true}` + "\n"))
	f.Add([]byte("{\"events\":[null,{}]}\n{}\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := framesOf(b)
		fo := follower{}
		fo.told.begin()
		for range len(b) + 1 {
			some, more, err := s.next(context.Background())
			if err != nil {
				return
			}
			fo.take(some, more)
		}
		t.Error("more frames than bytes")
	})
}
