package carrier

import (
	"testing"
	"time"
)

func TestAQuestionCountsFromWhenItWasAsked(t *testing.T) {
	var s silence
	start := time.Now()
	for _, c := range []struct {
		name           string
		at             time.Duration
		sent, received uint64
		want           time.Duration
	}{
		{"the handshake", 0, 10, 10, 0},
		{"idle, all answered", time.Hour, 10, 10, 0},
		{"the last answer was acknowledged", 2 * time.Hour, 11, 10, 0},
		{"a frame after that", 3 * time.Hour, 12, 10, 0},
		{"a probe", 3*time.Hour + time.Second, 13, 10, time.Second},
		{"an answer", 3*time.Hour + 2*time.Second, 13, 11, 0},
		{"idle again", 4 * time.Hour, 13, 11, 0},
	} {
		if got := s.lasts(start.Add(c.at), c.sent, c.received); got != c.want {
			t.Errorf("%s: quiet for %v, want %v", c.name, got, c.want)
		}
	}
}
