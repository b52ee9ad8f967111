package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/edge/doctor"
)

// The configuration in docs/edge.md is one, its numbers are the defaults, and
// its table has the doctor's checks.
func TestTheGatewaysPageSaysWhatTheGatewayDoes(t *testing.T) {
	page, err := os.ReadFile("../../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("no configuration in docs/edge.md")
	}
	cfg, err := agent.ParseConfig("edge.yaml", block[1])
	if err != nil {
		t.Fatal(err)
	}
	without := regexp.MustCompile(`(?s)memory-limit:.*?buses:`).ReplaceAll(block[1], []byte("buses:"))
	plain, err := agent.ParseConfig("edge.yaml", without)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Buffer != plain.Buffer || cfg.Memory != plain.Memory {
		t.Errorf("docs/edge.md has %+v and memory-limit %d, the defaults are %+v and %d", cfg.Buffer, cfg.Memory, plain.Buffer, plain.Memory)
	}

	var want, got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(page, -1) {
		want = append(want, string(row[1]))
	}
	subject := cfg.Subject()
	subject.Cloud = []string{"127.0.0.1:7443"} // no name server is asked
	facts := doctor.Look(t.Context(), subject, "")
	for _, f := range doctor.Examine(&facts) {
		got = append(got, strings.Replace(f.Name, "/dev/i2c-1", "PATH", 1))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("docs/edge.md has the checks %q, the doctor has %q", want, got)
	}
}
