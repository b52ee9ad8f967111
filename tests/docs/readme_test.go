package docs

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

const root = "../../"

// What the two READMEs tell a user to type works, typed in their order: a board
// and a link without hardware, a cloud node, a gateway, and looking at it. Only
// ports, folders that need root, and the bus are others. While the line runs,
// its metrics are compared with docs/metrics.md.
func TestTheReadmesCommandsRunAndTheMetricsAreDocumented(t *testing.T) {
	bin, err := line.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, dir: t.TempDir(), bin: bin}
	udp, tcp, err := process.FreePorts(2, 4)
	if err != nil {
		t.Fatal(err)
	}
	gate, relay, api, control, edge, faults := udp[0], udp[1], tcp[0], tcp[1], tcp[2], tcp[3]
	adapt := strings.NewReplacer(
		"127.0.0.1:7000", gate, "127.0.0.1:7001", relay, "127.0.0.1:7002", control, "127.0.0.1:7003", faults, "127.0.0.1:7480", api,
		"cloud.example:7443", relay, "/var/lib/atrium", "state", "/etc/atrium/identity", "gw-1",
		"device: /dev/i2c-1", "board: board.sock, board-bus: sim-i2c-1",
		"device: /dev/gpiochip0", "type: gpio, board: board.sock, board-bus: sim-gpio-0",
	)
	defer s.stop()
	for _, b := range blocks(t, root+"simulator/README.md") {
		if b.kind == "yaml" {
			name := "board.yaml"
			if strings.HasPrefix(b.text, "faults:") {
				name = "faults.yaml"
			}
			s.write(name, b.text)
			continue
		}
		for _, l := range b.lines() {
			s.simulator(adapt.Replace(l))
		}
	}
	for _, b := range blocks(t, root+"README.md") {
		if b.kind == "yaml" && strings.HasPrefix(b.text, "kind:") {
			s.write("rooms.yaml", b.text)
			continue
		}
		if b.kind == "yaml" {
			s.write("edge.yaml", b.text)
			s.command("atrium-edge config check --config edge.yaml") // as it stands there
			s.write("edge.yaml", adapt.Replace(b.text)+"http: "+edge+"\n")
			continue
		}
		for _, l := range b.lines() {
			s.readme(adapt.Replace(l), gate, api, edge)
		}
	}
	if s.ran < 20 {
		t.Errorf("only %d commands were found and run", s.ran)
	}
	documented(t, s, "http://"+api, "http://"+edge, "http://"+control, "http://"+faults)
}

// simulator types a line of simulator/README.md.
func (s *session) simulator(l string) {
	s.t.Helper()
	switch {
	case strings.HasPrefix(l, "atrium-sim "):
		p := s.start(l)
		s.until("ready: "+l, func() bool { return strings.HasPrefix(p.out.String(), "ready ") })
	case strings.HasPrefix(l, "curl "):
		s.ran++
		want := `"cut":`
		if strings.Contains(l, "/faults") {
			want = `{"faults":[`
		}
		if status, body := s.curl(l); status != http.StatusOK || !strings.Contains(body, want) {
			s.t.Errorf("%s: %d %s", l, status, body)
		}
	default:
		s.t.Errorf("simulator/README.md: nothing here knows how to type %q", l)
	}
}

// readme types a line of README.md.
func (s *session) readme(l, gate, api, edge string) {
	s.t.Helper()
	switch {
	case strings.HasPrefix(l, "make "):
		s.ran++
		s.target(strings.TrimPrefix(l, "make "))
	case strings.HasPrefix(l, "atrium-cloud run "):
		s.start(l + " --listen " + gate + " --http " + api)
		s.ready("http://" + api)
	case strings.HasPrefix(l, "atrium-edge run "):
		s.start(l)
		s.ready("http://" + edge)
	case strings.HasPrefix(l, "curl ") && strings.Contains(l, "/v1/sites/"):
		s.ran++
		s.until(l+" answers with a reading", func() bool {
			status, body := s.curl(l)
			return status == http.StatusOK && regexp.MustCompile(`"value":\d`).MatchString(body)
		})
	case strings.HasPrefix(l, "atrium watch "):
		s.eventually("atrium get devices hq --api http://" + api)
		p := s.start(l + " --api http://" + api)
		s.until(l+" prints what changes", func() bool { return strings.Contains(p.out.String(), "hq/hall") })
	case strings.HasPrefix(l, "atrium command "):
		if out := s.command(l + " --api http://" + api); !strings.Contains(out, "done") {
			s.t.Errorf("%s printed %q", l, out)
		}
	case strings.HasPrefix(l, "atrium ") && l != "atrium verify":
		s.ran++
		s.eventually(l + " --api http://" + api)
	case l == "atrium verify":
		if out := s.command(l + " --api http://" + api); !strings.HasPrefix(out, "verify: ") {
			s.t.Errorf("%s printed %q", l, out)
		}
	case strings.HasPrefix(l, "atrium-cloud ") || strings.HasPrefix(l, "atrium-edge "):
		s.command(l)
	default:
		s.t.Errorf("README.md: nothing here knows how to type %q", l)
	}
}

// target looks for a target in the Makefile; to make it here would be to test
// within a test.
func (s *session) target(name string) {
	s.t.Helper()
	b, err := os.ReadFile(root + "Makefile")
	if err != nil {
		s.t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:`).Match(b) {
		s.t.Errorf("README.md: make %s: no such target", name)
	}
}

// A link to a document that does not exist is a promise that was not kept.
func TestTheReadmesLinksLeadSomewhere(t *testing.T) {
	b, err := os.ReadFile(root + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(b), -1) {
		if strings.HasPrefix(link[1], "http") {
			continue
		}
		if _, err := os.Stat(root + link[1]); err != nil {
			t.Errorf("README.md links to %s: %v", link[1], err)
		}
	}
}
