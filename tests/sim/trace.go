package sim

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// maxComplaints bounds what a failing run says: the first ones matter, but many of
// one kind must not hide another.
const maxComplaints = 2000

// trace is the story of a run, and what was wrong with it.
type trace struct {
	mu         sync.Mutex
	begin      time.Time
	lines      []string
	complaints []string
}

func newTrace() *trace { return &trace{begin: time.Now()} }

func (t *trace) add(mark, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("%9.3fs %s %s", time.Since(t.begin).Seconds(), mark, text))
}

// event notes what the plan does.
func (t *trace) event(format string, args ...any) { t.add(">", fmt.Sprintf(format, args...)) }

// complain notes that an invariant is broken.
func (t *trace) complain(invariant, format string, args ...any) {
	text := invariant + ": " + fmt.Sprintf(format, args...)
	t.add("!", text)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.complaints) < maxComplaints {
		t.complaints = append(t.complaints, fmt.Sprintf("at %.3fs %s", time.Since(t.begin).Seconds(), text))
	}
}

// Write takes the components' log.
func (t *trace) Write(p []byte) (int, error) {
	t.add(" ", strings.TrimSpace(string(p)))
	return len(p), nil
}

// logger returns a logger into the trace for a part of the line.
func (t *trace) logger(who string) *slog.Logger {
	h := slog.NewTextHandler(io.Writer(t), &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	return slog.New(h).With("at", who)
}

// tail returns the last n lines, all for n < 0.
func (t *trace) tail(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n < 0 || n > len(t.lines) {
		n = len(t.lines)
	}
	return t.lines[len(t.lines)-n:]
}

func (t *trace) broken() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.complaints
}
