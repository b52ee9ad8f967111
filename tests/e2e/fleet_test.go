package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// The fleet is real agents: what it samples is in the cloud, exactly once.
func TestAFleetsReadingsArriveExactlyOnce(t *testing.T) { // I1
	l := raise(t)
	ids := filepath.Join(t.TempDir(), "identities")
	err := l.Run(t.Context(), "atrium-cloud", "issue", "gateway", "north/gw-1", "north/gw-2", "south/gw-1",
		"--data", l.Data(), "--out", ids)
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.Output(t.Context(), "atrium-sim", "fleet", "--cloud", l.Gate, "--identities", ids, "--state", t.TempDir(),
		"--devices", "9", "--rate", "5", "--for", "3s", "--report", "0", "--json", "--log-level", "error")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct{ Running, Connected, Sampled, Acked, Dropped int }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if last.Running != 3 || last.Connected != 3 || last.Sampled == 0 || last.Dropped != 0 {
		t.Errorf("the fleet says %s, want three connected gateways that sample", lines[len(lines)-1])
	}
	report, text, err := l.Verify(t.Context(), patience.String())
	if err != nil {
		t.Fatal(err)
	}
	if report.Readings == 0 || report.Sampled != report.Readings {
		t.Errorf("verify: %s, want every number of the counters", text)
	}
}
