package settings_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/settings"
)

// worker panics at "panic" and says what else it got.
type worker struct{ got chan string }

func (w *worker) Receive(ctx *actor.ContextOf[string]) {
	if ctx.Message() == "panic" {
		panic("as told")
	}
	w.got <- ctx.Message()
}

func newSystem(t *testing.T) *actor.ActorSystem {
	s := actor.NewActorSystem(actor.Config{Address: "here", ClusterName: "test"}, nil, actor.WithMetrics(prometheus.NewRegistry()))
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func parse(t *testing.T, text string) *settings.Settings {
	t.Helper()
	s, err := settings.Parse("actors.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatAFileSaysIsWhatActorsGet(t *testing.T) {
	system := newSystem(t)
	err := parse(t, `
dispatchers:
  slow: {kind: blocking, max_concurrency: 1}
types:
  worker:
    dispatcher: slow
    mailbox: {size: 2, overflow: refuse}
    supervision: {on_failure: restart}
    limit: 2
sites: {actors: 1}
`).Apply(system)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	props := actor.PropsOf(func() actor.ReceiverOf[string] { return &worker{got} }).WithType("worker").WithMailbox(actor.Mailbox{Size: 99})
	ref, err := actor.Spawn(system.Engine(), props, "hq/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ref.TellBatch([]string{"panic", "after it", "too many"}); !errors.Is(err, actor.ErrMailboxFull) {
		t.Errorf("a third message: %v", err)
	}
	if _, err := actor.Spawn(system.Engine(), props, "hq/b"); !errors.Is(err, actor.ErrLimit) {
		t.Errorf("a second actor of the site: %v", err)
	}
	if _, err := actor.Spawn(system.Engine(), props, "lab/a"); err != nil {
		t.Error(err)
	}
	if _, err := actor.Spawn(system.Engine(), props, "store/a"); !errors.Is(err, actor.ErrLimit) {
		t.Errorf("a third actor of the type: %v", err)
	}
	select {
	case <-got: // by the actor, that was restarted
	case <-ref.Stopped():
		t.Error("a panic ended the actor")
	}
}

func TestASystemThatCannotTakeASettingSaysWhich(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"dispatchers: {taken: {throughput: 1}}", `settings: actor: register dispatcher "taken": `},
		{"types: {taken: {limit: 1}}", `settings: actor: configure type "taken": `},
		{"sites: {actors: 1}", "settings: actor: limit sites: "},
	} {
		system := newSystem(t)
		if err := system.RegisterDispatcher("taken", actor.DefaultDispatcher()); err != nil {
			t.Fatal(err)
		}
		if _, err := actor.Spawn(system.Engine(), actor.PropsOf(func() actor.ReceiverOf[string] { return new(worker) }).WithType("taken"), "a"); err != nil {
			t.Fatal(err)
		}
		if err := parse(t, test.file).Apply(system); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s...", test.file, err, test.want)
		}
	}
}

// I6: a value that no file could hold changes nothing.
func TestSettingsThatAreWrongAreNotAppliedInPart(t *testing.T) {
	system := newSystem(t)
	s := settings.Settings{
		Dispatchers: map[string]settings.Dispatcher{"fine": {}},
		Types:       map[string]settings.Type{"worker": {Limit: -1}},
	}
	if err := s.Apply(system); err == nil || !strings.HasPrefix(err.Error(), "settings: types.worker.limit: ") {
		t.Errorf("%v", err)
	}
	if err := system.RegisterDispatcher("fine", actor.DefaultDispatcher()); err != nil {
		t.Errorf("a dispatcher of the refused settings is there: %v", err)
	}
}

func TestATypeThatTheProgramDoesNotHaveIsRefusedAtItsPlace(t *testing.T) {
	_, err := settings.Parse("actors.yaml", []byte("types:\n  room: {limit: 5}\n  devise: {limit: 5}\n"), "device", "room")
	if want := `actors.yaml:3:12: key "devise": unknown, want one of device, room`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
