package qemu

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const greeting = `{"QMP": {"version": {"qemu": {"major": 10}}, "capabilities": []}}`

// talk connects a Control with a QEMU that greets, then gives one of the
// answers to each command; it returns the commands when the Control is closed.
func talk(t *testing.T, greeting string, answers ...string) (*Control, func() []string, error) {
	t.Helper()
	here, there := net.Pipe()
	var commands []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer there.Close()
		if _, err := fmt.Fprintln(there, greeting); err != nil {
			return
		}
		in := bufio.NewScanner(there)
		for _, a := range answers {
			if !in.Scan() {
				return
			}
			commands = append(commands, in.Text())
			if _, err := fmt.Fprintln(there, a); err != nil {
				return
			}
		}
		if len(answers) > 0 {
			in.Scan() // the end comes with the next command, or with Close
		}
	}()
	c, err := NewControl(here)
	end := func() []string {
		if c != nil {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		<-done
		return commands
	}
	return c, end, err
}

func TestACommandsResultIsFoundBehindEvents(t *testing.T) {
	c, end, err := talk(t, greeting, `{"return": {}}`, `{"event": "RESET", "data": {}} {"event": "STOP"}`+"\n"+`{"return": 7}`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Execute("qom-get", map[string]any{"path": "/machine", "property": "x"})
	if err != nil || string(got) != "7" {
		t.Errorf("result %s, %v", got, err)
	}
	commands := end()
	if len(commands) != 2 || commands[0] != `{"execute":"qmp_capabilities"}` || commands[1] != `{"execute":"qom-get","arguments":{"path":"/machine","property":"x"}}` {
		t.Errorf("commands %q", commands)
	}
}

func TestQEMUsErrorIsTold(t *testing.T) {
	c, end, err := talk(t, greeting, `{"return": {}}`, `{"error": {"class": "DeviceNotFound", "desc": "no t9"}}`)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if _, err := c.Execute("qom-set", nil); err == nil || !strings.Contains(err.Error(), "qom-set: DeviceNotFound: no t9") {
		t.Errorf("Execute = %v", err)
	}
}

func TestWhatIsNotQMPIsRefused(t *testing.T) {
	for _, g := range []string{`{"hello": 1}`, `ready`, ``} {
		c, end, err := talk(t, g)
		if err == nil {
			t.Errorf("%q was taken for a greeting: %v", g, c)
		}
		end()
	}
}

func TestAConnectionThatEndsIsAnErrorOfTheCommand(t *testing.T) {
	c, end, err := talk(t, greeting, `{"return": {}}`)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if _, err := c.Execute("quit", nil); err == nil || !strings.Contains(err.Error(), "qmp: quit") {
		t.Errorf("Execute = %v", err)
	}
}

func TestAQEMUThatEndsAtOnceIsAnErrorWithItsWords(t *testing.T) {
	dir := t.TempDir()
	m, err := Start(t.Context(), Config{Command: []string{"sh", "-c", "echo no such machine >&2; exit 1"}, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "no such machine") {
		t.Errorf("Start = %v, %v", m, err)
	}
}
