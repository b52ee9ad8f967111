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
