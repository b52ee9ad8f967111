package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// output is how every subcommand prints.
type output struct {
	json  bool
	level string
}

// field is one key and value of a ready line.
type field struct{ key, value string }

// ready prints the line that says that the program serves: "ready" and
// key=value pairs, or one JSON object with "ready": true.
func (o *output) ready(w io.Writer, fields ...field) error {
	if !o.json {
		var line strings.Builder
		line.WriteString("ready")
		for _, f := range fields {
			fmt.Fprintf(&line, " %s=%s", f.key, f.value)
		}
		_, err := fmt.Fprintln(w, line.String())
		return err
	}
	object := map[string]any{"ready": true}
	for _, f := range fields {
		object[f.key] = f.value
	}
	return json.NewEncoder(w).Encode(object)
}
