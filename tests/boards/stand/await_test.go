package stand

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestABoardThatEndsIsNotWaitedFor(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	no := func(context.Context) (bool, error) { return false, errors.New("refused") }
	err := Await(t.Context(), ended, time.Hour, "it was warm", no, func() string { return "3 degC" })
	for _, part := range []string{"the board ended before it was warm", "3 degC", "refused"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("await = %v, want %q in it", err, part)
		}
	}
}

func TestWhatNeverComesIsNamedWithWhy(t *testing.T) {
	no := func(context.Context) (bool, error) { return true, errors.New("refused") }
	err := Await(t.Context(), nil, time.Nanosecond, "it was warm", no, nil)
	if err == nil || !strings.Contains(err.Error(), "not within 1ns: it was warm") {
		t.Errorf("await = %v", err)
	}
}

func TestASampleIsFoundByItsWholeName(t *testing.T) {
	const text = "# TYPE a counter\na_total 3\na{source=\"none\"} 1\na{source=\"system\"} 2\na 4e+00\n"
	for sample, want := range map[string]float64{"a": 4, `a{source="system"}`: 2, "a_total": 3} {
		if got, err := findSample(strings.NewReader(text), sample); got != want || err != nil {
			t.Errorf("%s = %g, %v; want %g", sample, got, err, want)
		}
	}
	if v, err := findSample(strings.NewReader(text), "a_"); err == nil {
		t.Errorf("a_ = %g", v)
	}
}
