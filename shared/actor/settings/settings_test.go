package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
	"github.com/atrium-iot/atrium/shared/config"
)

func TestAFileIsReadWhole(t *testing.T) {
	for file, want := range map[string]Settings{
		"edge.yaml": {
			Dispatchers: map[string]Dispatcher{"bus": {Kind: actor.Blocking, MaxConcurrency: 8, MailboxSize: 64}},
			Types: map[string]Type{
				"device": {
					Dispatcher: "bus",
					Mailbox:    &Mailbox{Size: 16, Overflow: actor.DropOldest},
					Supervision: &Supervision{
						OnFailure: supervise.Restart, MaxRestarts: 5, Within: 10 * time.Minute, Exceeded: supervise.Escalate,
						Backoff: Backoff{Min: time.Second, Max: time.Minute},
					},
				},
				"uplink": {Dispatcher: "default", Mailbox: &Mailbox{Size: 64, Overflow: actor.Block}},
			},
		},
		"cloud.yaml": {
			Dispatchers: map[string]Dispatcher{
				"room-dispatcher":   {Throughput: 50, MailboxSize: 500, MaxConcurrency: 2, Weight: 1},
				"device-dispatcher": {Throughput: 100, MailboxSize: 1000, MaxConcurrency: 4, Weight: 3},
				"audio":             {Kind: actor.Pinned, MaxConcurrency: 1},
			},
			Types: map[string]Type{
				"device": {
					Dispatcher:  "device-dispatcher",
					Mailbox:     &Mailbox{Size: 500, Overflow: actor.DropOldest},
					Passivation: Passivation{Idle: 10 * time.Minute, Limit: 10_000},
					Supervision: &Supervision{
						OnFailure: supervise.Restart, MaxRestarts: 10, Within: 5 * time.Minute,
						Backoff: Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second, Factor: 2, Jitter: 0.2},
					},
					Limit: 100_000,
				},
				"room": {
					Dispatcher:  "room-dispatcher",
					Supervision: &Supervision{OnFailure: supervise.Resume},
				},
			},
			Sites: Sites{Actors: 20_000, Messages: 200_000},
		},
		"sites.yaml": {Sites: Sites{Actors: 20_000}},
	} {
		data, err := os.ReadFile(filepath.Join("testdata/good", file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(file, data)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func TestTheFileInThePackageCommentIsRead(t *testing.T) {
	source, err := os.ReadFile("settings.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "package settings")
	var file strings.Builder
	for line := range strings.Lines(comment) {
		if yaml, ok := strings.CutPrefix(line, "//\t"); ok {
			file.WriteString(yaml)
		}
	}
	s, err := Parse("comment", []byte(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Dispatchers) != 1 || len(s.Types) != 1 || s.Sites == (Sites{}) {
		t.Errorf("%+v", s)
	}
}

// I6: bad input names the place and the way out.
func TestAFaultIsRefusedWithItsPlace(t *testing.T) {
	datadriven.RunTest(t, "testdata/refused", func(t *testing.T, d *datadriven.TestData) string {
		s, err := Parse("f.yaml", []byte(d.Input))
		if err == nil {
			return fmt.Sprintf("%+v\n", s)
		}
		return err.Error() + "\n"
	})
}

func TestDispatchersAndTypesAreBounded(t *testing.T) {
	s := Settings{Dispatchers: map[string]Dispatcher{}, Types: map[string]Type{}}
	for i := range maxDispatchers {
		s.Dispatchers[fmt.Sprint(i)] = Dispatcher{}
	}
	for i := range maxTypes {
		s.Types[fmt.Sprint(i)] = Type{}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	s.Types["more"] = Type{}
	if err := s.Check(); err == nil || err.Error() != "settings: types: want at most 256, got 257" {
		t.Error(err)
	}
	s.Dispatchers["more"] = Dispatcher{}
	if err := s.Check(); err == nil || err.Error() != "settings: dispatchers: want at most 63, got 64" {
		t.Error(err)
	}
}

// What a program writes itself has no lines; its place is the value's path.
func TestCheckNamesThePathOfAValueThatNoFileHolds(t *testing.T) {
	for want, b := range map[string]Type{
		"settings: types.b.passivation.idle: want 0 (never) or more, got -1s": {
			Passivation: Passivation{Idle: -time.Second},
		},
		"settings: types.b.supervision.backoff.max: want 1s (the minimum) to 24h0m0s, got 0s": {
			Supervision: &Supervision{OnFailure: supervise.Restart, Backoff: Backoff{Min: time.Second}},
		},
	} {
		s := Settings{Types: map[string]Type{"a": {Limit: 1}, "b": b}}
		if err := s.Check(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Each field that supervise can name is a key of the file: else its fault would
// have the place of its parent.
func TestSupervisionIsWrittenAsItsFieldsAreNamed(t *testing.T) {
	for field, want := range map[string]string{
		"OnFailure": "on_failure", "MaxRestarts": "max_restarts", "Within": "within", "Exceeded": "exceeded",
		"Backoff.Min": "backoff.min", "Backoff.Max": "backoff.max", "Backoff.Factor": "backoff.factor",
		"Backoff.Jitter": "backoff.jitter", "Backoff.Reset": "backoff.reset",
	} {
		if got := key(field); got != want {
			t.Errorf("%s is written %s, want %s", field, got, want)
		}
	}
}

// FuzzParse: no bytes make the package panic, every fault has its place, and
// what is read holds what Check holds.
func FuzzParse(f *testing.F) {
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(good) == 0 {
		f.Fatal("no files: ", err)
	}
	for _, file := range good {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("types: {\"a.b[0]\": {supervision: {on_failure: restart, backoff: {min: 1s, max: 1e3s, factor: .nan}}}}"))
	f.Add([]byte("dispatchers: {\"\": {weight: 1}}\nsites:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f.yaml", data)
		if err != nil {
			var e *config.Error
			if s != nil || !errors.As(err, &e) || e.File != "f.yaml" || !strings.HasPrefix(err.Error(), "f.yaml:") {
				t.Fatalf("%v with the fault %#v", s, err)
			}
			return
		}
		if err := s.Check(); err != nil {
			t.Fatalf("read, and refused: %v", err)
		}
	})
}
