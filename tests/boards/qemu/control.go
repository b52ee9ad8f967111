package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// answerTimeout is how long QEMU may take to answer a command. It does not
// depend on the guest.
const answerTimeout = 10 * time.Second

// Control is a QMP connection (docs/interop/qmp-spec.rst of QEMU). It is used
// by one goroutine; events that QEMU sends between answers are skipped.
type Control struct {
	conn net.Conn
	in   *json.Decoder
}

// answer is any message of QEMU: a greeting, an event, a result or an error.
type answer struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// NewControl reads QEMU's greeting and makes it ready for commands. It owns the
// connection and closes it on an error.
func NewControl(conn net.Conn) (*Control, error) {
	c := &Control{conn: conn, in: json.NewDecoder(conn)}
	greeting, err := c.read()
	if err == nil && greeting.Greeting == nil {
		err = errors.New("the greeting is not QMP's")
	}
	if err == nil {
		_, err = c.Execute("qmp_capabilities", nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("qmp: %w", err), conn.Close())
	}
	return c, nil
}

// Execute sends a command and returns QEMU's result.
func (c *Control) Execute(command string, arguments any) (json.RawMessage, error) {
	request := struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments}
	if err := c.conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, fmt.Errorf("qmp: %s: %w", command, err)
	}
	if err := json.NewEncoder(c.conn).Encode(request); err != nil {
		return nil, fmt.Errorf("qmp: %s: %w", command, err)
	}
	for {
		a, err := c.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("qmp: %s: %w", command, err)
		case a.Error != nil:
			return nil, fmt.Errorf("qmp: %s: %s: %s", command, a.Error.Class, a.Error.Desc)
		case a.Return != nil:
			return a.Return, nil
		case a.Event == "":
			return nil, fmt.Errorf("qmp: %s: neither a result, an error nor an event", command)
		}
	}
}

func (c *Control) read() (answer, error) {
	var a answer
	if err := c.conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return a, err
	}
	return a, c.in.Decode(&a)
}

// Close ends the connection; QEMU goes on.
func (c *Control) Close() error { return c.conn.Close() }
