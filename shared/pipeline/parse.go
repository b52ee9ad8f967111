package pipeline

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile/expr"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Parse compiles a document. file is used in errors only. Every error is a
// *config.Error: it has the line and column, and says what is wanted there.
func Parse(file string, data []byte) (*Pipeline, error) {
	d, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	var in document
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	c := compiler{doc: d, in: &in, out: &Pipeline{first: -1, window: -1}}
	for _, part := range []func() error{c.head, c.from, c.points, c.stages} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return c.out, nil
}

// compiler turns a document into a Pipeline, part by part.
type compiler struct {
	doc   *config.Document
	in    *document
	out   *Pipeline
	names []string // of the slots at the stage that is being compiled
	value string   // what a window or alarm takes that names nothing; "" if that is open
}

func (c *compiler) head() error {
	if c.in.Kind != "pipeline" {
		return c.doc.Errorf("$.kind", "want pipeline, got %q", c.in.Kind)
	}
	if err := c.line("$.title", c.in.Title, maxTitle); err != nil {
		return err
	}
	name, err := id.ParsePipeline(c.in.Name)
	if err != nil {
		return c.doc.Errorf("$.name", "%v", err)
	}
	c.out.Name, c.out.Title = name, c.in.Title
	return nil
}

// line checks what is shown to people in one line.
func (c *compiler) line(path, text string, most int) error {
	switch {
	case len(text) > most:
		return c.doc.Errorf(path, "%d bytes, at most %d", len(text), most)
	case strings.ContainsFunc(text, unicode.IsControl):
		return c.doc.Errorf(path, "want one line, without control characters")
	}
	return nil
}

func (c *compiler) from() error {
	site := string(c.out.Name.Site) + "/"
	err := c.list("$.from.devices", c.in.From.Devices, func(s string) error {
		_, err := id.ParseDevice(site + s)
		return err
	})
	if err != nil {
		return err
	}
	err = c.list("$.from.rooms", c.in.From.Rooms, func(s string) error {
		_, err := id.ParseRoom(site + s)
		return err
	})
	if err != nil {
		return err
	}
	c.out.source.Devices, c.out.source.Rooms = c.in.From.Devices, c.in.From.Rooms
	return nil
}

// list checks names within the site.
func (c *compiler) list(path string, names []string, check func(string) error) error {
	switch {
	case names != nil && len(names) == 0:
		return c.doc.Errorf(path, "want at least one name; leave the key out if all are meant")
	case len(names) > maxSources:
		return c.doc.Errorf(path, "%d names, at most %d", len(names), maxSources)
	}
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if seen[name] {
			return c.doc.Errorf(config.Index(path, i), "%q is given twice", name)
		}
		seen[name] = true
		if err := check(name); err != nil {
			return c.doc.Errorf(config.Index(path, i), "want a name within the site: %v", err)
		}
	}
	return nil
}

func (c *compiler) points() error {
	if n := len(c.in.Points); n == 0 || n > maxPoints {
		return c.doc.Errorf("$.points", "want 1 to %d points, got %d", maxPoints, n)
	}
	for i, s := range c.in.Points {
		path := config.Index("$.points", i)
		point, err := id.ParsePoint(s)
		if err != nil {
			return c.doc.Errorf(path, "%v", err)
		}
		if slices.Contains(c.names, s) {
			return c.doc.Errorf(path, "point %q is given twice", s)
		}
		c.names = append(c.names, s)
		c.out.source.Points = append(c.out.source.Points, point)
	}
	if len(c.names) == 1 {
		c.value = c.names[0]
	}
	return nil
}

func (c *compiler) stages() error {
	n := len(c.in.Stages)
	if n == 0 || n > maxStages {
		return c.doc.Errorf("$.stages", "want 1 to %d stages, got %d", maxStages, n)
	}
	for i := range c.in.Stages {
		path := config.Index("$.stages", i)
		st, err := c.stage(path, &c.in.Stages[i])
		if err != nil {
			return err
		}
		if c.out.first < 0 && (st.kind == window || st.kind == alarm) {
			c.out.first = i
		}
		if st.kind == window {
			c.out.window = i
		}
		c.out.stages = append(c.out.stages, st)
	}
	if last := c.out.stages[n-1].kind; last != window && last != alarm {
		return c.doc.Errorf(config.Index("$.stages", n-1), "want a window or an alarm as the last stage: nothing takes what this one gives")
	}
	return nil
}

func (c *compiler) stage(path string, in *stageDoc) (stage, error) {
	given := 0
	for _, is := range []bool{in.Filter != nil, in.Derive != nil, in.Window != nil, in.Alarm != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return stage{}, c.doc.Errorf(path, "want exactly one of filter, derive, window, alarm, got %d of them", given)
	case in.Filter != nil:
		program, err := c.expression(config.Join(path, "filter"), *in.Filter)
		return stage{kind: filter, words: filterWords(*in.Filter), program: program}, err
	case in.Derive != nil:
		return c.derive(config.Join(path, "derive"), in.Derive)
	case in.Window != nil:
		return c.windowed(config.Join(path, "window"), in.Window)
	}
	return c.alarm(config.Join(path, "alarm"), in.Alarm)
}

func (c *compiler) derive(path string, in *deriveDoc) (stage, error) {
	program, err := c.expression(config.Join(path, "expr"), in.Expr)
	if err != nil {
		return stage{}, err
	}
	at := config.Join(path, "name")
	switch {
	case !identifier(in.Name):
		return stage{}, c.doc.Errorf(at, "want a letter or _, then letters, digits and _, at most %d, got %q", maxName, in.Name)
	case expr.IsFunction(in.Name):
		return stage{}, c.doc.Errorf(at, "%q is a function's name, want another", in.Name)
	case slices.Contains(c.names, in.Name):
		return stage{}, c.doc.Errorf(at, "%q is a value already, want a name beside %s", in.Name, c.known())
	case in.Unit != "" && !validUnit(in.Unit):
		return stage{}, c.doc.Errorf(config.Join(path, "unit"), "want a UCUM code such as Cel, Pa or %%RH, of at most %d characters, got %q", wire.MaxUnit, in.Unit)
	}
	c.names = append(c.names, in.Name)
	c.value = in.Name
	return stage{kind: derive, words: deriveWords(in), program: program, slot: len(c.names) - 1}, nil
}

func (c *compiler) windowed(path string, in *windowDoc) (stage, error) {
	if c.out.window >= 0 {
		return stage{}, c.doc.Errorf(path, "want at most one window, stage %d is one already", c.out.window+1)
	}
	if in.Every%time.Second != 0 || (24*time.Hour)%in.Every != 0 {
		return stage{}, c.doc.Errorf(config.Join(path, "every"), "want whole seconds that divide a day, such as 10s, 1m, 15m or 1h, got %s", short(in.Every))
	}
	name, slot, err := c.of(config.Join(path, "of"), in.Of)
	if err != nil {
		return stage{}, err
	}
	c.names, c.value = slices.Clone(windowNames), windowNames[0]
	return stage{kind: window, words: windowWords(name, in.Every), slot: slot, every: in.Every.Microseconds()}, nil
}

// of resolves what a window or an alarm looks at.
func (c *compiler) of(path, name string) (string, int, error) {
	if name == "" && !c.doc.Has(path) {
		name = c.value
	}
	if name == "" {
		return "", 0, c.doc.Errorf(path, "missing: want one of %s", c.known())
	}
	slot := slices.Index(c.names, name)
	if slot < 0 {
		return "", 0, c.doc.Errorf(path, "unknown name %q, want one of %s", name, c.known())
	}
	return name, slot, nil
}

func (c *compiler) expression(path, source string) (*expr.Program, error) {
	p, err := expr.Compile(source, func(name string) (int, bool) {
		slot := slices.Index(c.names, name)
		return slot, slot >= 0
	})
	if err == nil {
		return p, nil
	}
	text := err.Error()
	if strings.Contains(text, "unknown name") {
		text += ", want one of " + c.known()
	}
	return nil, c.doc.Errorf(path, "%s", text)
}

func (c *compiler) known() string { return strings.Join(c.names, ", ") }

func identifier(s string) bool { return expr.IsName(s) && len(s) <= maxName }

func validUnit(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= wire.MaxUnit
}
