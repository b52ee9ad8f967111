package docs

import (
	"net/http"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// What docs/quickstart.md tells a user to type works, typed in its order beside
// a running demonstration. Only the address is another, and the demonstration
// prints lines, as there is no terminal.
func TestTheQuickstartsCommandsRun(t *testing.T) {
	bin, err := line.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, tcp, err := process.FreePorts(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &session{t: t, dir: dir, bin: bin, env: []string{"XDG_RUNTIME_DIR=" + dir, "TMPDIR=" + dir}}
	defer s.stop()
	for _, b := range blocks(t, root+"docs/quickstart.md") {
		if b.kind == "yaml" {
			s.write("mine.yaml", b.text)
			continue
		}
		for _, l := range b.lines() {
			s.quickstart(l, tcp[0])
		}
	}
	if s.ran < 24 {
		t.Errorf("only %d commands were found and run", s.ran)
	}
}

// quickstart types a line of docs/quickstart.md.
func (s *session) quickstart(l, api string) {
	s.t.Helper()
	asking := l + " --api http://" + api
	switch {
	case l == "make demo":
		s.target("demo")
		s.start("atrium demo --http " + api)
		s.until("the demonstration has values", func() bool {
			status, body := s.curl("curl http://" + api + "/v1/sites/hq/rooms")
			return status == http.StatusOK && strings.Contains(body, `"mean"`)
		})
	case strings.HasPrefix(l, "export PATH="):
		s.ran++ // the session has the programs
	case strings.HasPrefix(l, "atrium watch "):
		p := s.start(asking)
		s.until(l+" prints what changes", func() bool { return strings.Count(p.out.String(), "\n") > 30 })
	case l == "atrium diff -f mine.yaml", strings.HasPrefix(l, "atrium delete "), strings.HasPrefix(l, "atrium link "), strings.HasPrefix(l, "atrium kill "):
		s.command(asking) // nothing to say is right
	case strings.HasPrefix(l, "atrium get "), strings.HasPrefix(l, "atrium describe "), strings.HasPrefix(l, "atrium history "), l == "atrium verify":
		s.ran++
		s.eventually(asking) // the gateway may be down, as the page just said
	case strings.HasPrefix(l, "atrium "):
		if out := s.command(asking); strings.TrimSpace(out) == "" {
			s.t.Errorf("%s printed nothing", l)
		}
	default:
		s.t.Errorf("docs/quickstart.md: nothing here knows how to type %q", l)
	}
}
