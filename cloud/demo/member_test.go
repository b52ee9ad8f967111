package demo

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/demo/process"
)

func shell(t *testing.T, script string) *member {
	t.Helper()
	m := &member{process: process.New(process.Config{
		Name: "shell", Args: []string{"sh", "-c", script}, Log: filepath.Join(t.TempDir(), "log"),
	})}
	t.Cleanup(func() {
		if err := m.process.Kill(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestAProcessThatWasJustKilledIsWaitedFor(t *testing.T) {
	m := shell(t, "echo ready; exec sleep 60")
	if err := m.start(t.Context()); err != nil || !m.runs() {
		t.Fatalf("runs %t, %v", m.runs(), err)
	}
	if err := m.process.Kill(); err != nil { // nobody has told its Health
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.await(ctx); err == nil || !strings.Contains(err.Error(), "shell does not run") {
		t.Errorf("got %v", err)
	}
}

func TestAProcessThatDoesNotGetReadyDoesNotRun(t *testing.T) {
	m := shell(t, "exec sleep 60")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.start(ctx); err == nil || m.Health().Fault == "" {
		t.Fatalf("got %v, %+v", err, m.Health())
	}
	select {
	case <-m.process.Done(): // supervise starts it again
	default:
		t.Error("it runs still, and would never be said to be up")
	}
}
