package plan

import (
	"testing"
	"time"
)

func TestAnOrderIsReadAsItWasWritten(t *testing.T) {
	for _, c := range []Command{Cut, Stop, Step} {
		want := time.Duration(0)
		if c == Step {
			want = -time.Hour
		}
		got, by, err := ParseOrder(FormatOrder(c, -time.Hour))
		if got != c || by != want || err != nil {
			t.Errorf("%s: %s %s, %v", c, got, by, err)
		}
	}
}

func TestAnythingElseIsNoOrder(t *testing.T) {
	for _, text := range []string{"", "cut 1s", "stop now", "step", "step far", "reboot"} {
		if c, by, err := ParseOrder([]byte(text)); err == nil {
			t.Errorf("%q is %s %s", text, c, by)
		}
	}
}

func TestAPlanThatStartsNothingIsRefused(t *testing.T) {
	for _, text := range []string{"", "{}", `{"programs": []}`, `{"programs": [{}]}`} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q is a plan", text)
		}
	}
}
