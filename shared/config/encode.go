package config

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// FromJSON writes a JSON value as YAML, keys in their order, for people to
// read.
func FromJSON(text []byte) ([]byte, error) {
	out, err := yaml.JSONToYAML(text)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return out, nil
}
