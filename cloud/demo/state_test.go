package demo

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheStateOfADemonstrationThatIsGoneIsNoState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	if _, err := ReadState(file); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte(`{"demo": 0`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(file); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("a damaged file: %v", err)
	}
	if err := os.WriteFile(file, []byte(`{"demo": {"pid": 4194305}}`), 0o600); err != nil { // above the kernel's PID_MAX_LIMIT
		t.Fatal(err)
	}
	if _, err := ReadState(file); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead process: %v", err)
	}
}

func TestKillSparesAProcessThatIsAnotherProgram(t *testing.T) {
	r := Running{PID: os.Getpid(), Program: "/usr/bin/atrium-edge"}
	if err := r.Kill(); err == nil || !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
}

func TestALinkIsCutAndHealedByName(t *testing.T) {
	var asked []string
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		if len(asked) > 2 {
			http.Error(w, "no more", http.StatusConflict)
		}
	}))
	defer control.Close()
	s := State{Sites: []SiteState{{Site: "hq", Link: control.URL}}}
	hq, err := s.Site("hq")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(hq.SetLink(true), hq.SetLink(false)); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[0] != "POST /cut" || asked[1] != "POST /heal" {
		t.Errorf("asked %v", asked)
	}
	if err := hq.SetLink(true); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := s.Site("nowhere"); err == nil || !strings.Contains(err.Error(), "hq") {
		t.Errorf("an unknown site: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestOnlyOneDemonstrationStartsWithAStateFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	gone := `{"demo": {"pid": 4194305, "url": "http://127.0.0.1:1"}}`
	if err := os.WriteFile(file, []byte(gone), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := &Demo{cfg: Config{State: file}}, &Demo{cfg: Config{State: file}}
	if err := first.claim(); err != nil {
		t.Fatalf("after one that is gone: %v", err)
	}
	if _, err := ReadState(file); !errors.Is(err, ErrStarting) {
		t.Errorf("while it starts: %v", err)
	}
	if err := second.claim(); err == nil || !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
		t.Errorf("a second one: %v", err)
	}
	if err := first.removeState(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := second.claim(); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
}

func TestTheWebAddressIsTheWantedOneUnlessItIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const free = "127.0.0.1:9"
	for _, want := range []string{"", l.Addr().String()} {
		if got, err := webAddress(want, free); err != nil || got != free {
			t.Errorf("%q: %q, %v", want, got, err)
		}
	}
	if got, err := webAddress("127.0.0.1:0", free); err != nil || got == free || strings.HasSuffix(got, ":0") {
		t.Errorf("any port: %q, %v", got, err)
	}
	if _, err := webAddress("nonsense", free); err == nil {
		t.Error("nonsense is an address")
	}
}
