package pipeline

import "time"

// The documents as they are written: docs/pipelines.md has the language.

type document struct {
	Kind   string     `yaml:"kind,required"`
	Name   string     `yaml:"name,required"`
	Title  string     `yaml:"title"`
	From   sourceDoc  `yaml:"from"`
	Points []string   `yaml:"points,required"`
	Stages []stageDoc `yaml:"stages,required"`
}

type sourceDoc struct {
	Devices []string `yaml:"devices"`
	Rooms   []string `yaml:"rooms"`
}

// stageDoc is one stage: exactly one key is given.
type stageDoc struct {
	Filter *string    `yaml:"filter"`
	Derive *deriveDoc `yaml:"derive"`
	Window *windowDoc `yaml:"window"`
	Alarm  *alarmDoc  `yaml:"alarm"`
}

type deriveDoc struct {
	Name string `yaml:"name,required"`
	Expr string `yaml:"expr,required"`
	Unit string `yaml:"unit"`
}

type windowDoc struct {
	Every time.Duration `yaml:"every,required" range:"1s..24h"`
	Of    string        `yaml:"of"`
}

type alarmDoc struct {
	Of       string        `yaml:"of"`
	Above    *float64      `yaml:"above" range:"-1e290..1e290"`
	Below    *float64      `yaml:"below" range:"-1e290..1e290"`
	Clear    *float64      `yaml:"clear" range:"-1e290..1e290"`
	For      time.Duration `yaml:"for" range:"0s..24h"`
	Severity string        `yaml:"severity"`
	Text     string        `yaml:"text"`
}
