package client

import "time"

// CommandRequest asks for a command to a device.
type CommandRequest struct {
	ID        string         `json:"id,omitempty" doc:"32 hexadecimal digits or a UUID, drawn by whoever asks: asking again with the same id is the same command. Absent: the node draws one."`
	Command   string         `json:"command" example:"set"`
	Args      map[string]any `json:"args,omitempty" doc:"Booleans and numbers by name."`
	ExpiresMS uint64         `json:"expires_ms,omitempty" doc:"How long it may still begin; absent: 30 s."`
	By        string         `json:"by,omitempty" doc:"Who asks, for the record."`
}

// Command is a command and what became of it.
type Command struct {
	ID          string         `json:"id"`
	Device      string         `json:"device" example:"hq/relay-1"`
	Command     string         `json:"command"`
	Args        map[string]any `json:"args,omitempty"`
	By          string         `json:"by,omitempty"`
	State       string         `json:"state" doc:"accepted, sent, done, failed, refused, unknown, expired or unanswered"`
	ConfirmedBy string         `json:"confirmed_by,omitempty" doc:"Of done: register, sensor, or shadow (assumed)."`
	Text        string         `json:"text,omitempty" doc:"Why it failed or was refused."`
	IssuedAt    time.Time      `json:"issued_at"`
	ExpiresAt   time.Time      `json:"expires_at"`
	EndedAt     time.Time      `json:"ended_at,omitzero" doc:"When the device was done, by the node's clock."`
}

// Ended reports whether the state is final. An unanswered command may still
// get its answer: the gateway was not reached again before it expired.
func (c *Command) Ended() bool { return c.State != "accepted" && c.State != "sent" }
