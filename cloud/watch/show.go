package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// frameEvery is how often the view is drawn anew: ages are shown in tenths of a
// second.
const frameEvery = 250 * time.Millisecond

// feed is a picture that one goroutine fills and another draws.
type feed struct {
	mu      sync.Mutex
	picture Picture
}

// Event takes an event.
func (f *feed) Event(now time.Time, e client.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.picture.Event(now, e)
}

// Broken takes the end of a stream.
func (f *feed) Broken(now time.Time, why error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.picture.Broken(now, why)
}

func (f *feed) look() Picture {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.picture.clone()
}

// Show runs the view on a terminal until a person ends it, ctx is done, or the
// node refuses. api is what the view calls the node.
func Show(ctx context.Context, s Source, sites []id.Site, api string, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := &feed{}
	m := &model{feed: f, view: view{api: api}}
	// Signals end ctx.
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	followed := make(chan error, 1)
	go func() {
		err := Follow(ctx, s, sites, f)
		p.Quit()
		followed <- err
	}()
	_, err := p.Run()
	stop()
	if errors.Is(err, tea.ErrProgramKilled) {
		err = nil // by ctx
	}
	if err != nil {
		err = fmt.Errorf("watch: %w", err)
	}
	return errors.Join(err, <-followed)
}

// model is the view under bubbletea.
type model struct {
	feed          *feed
	view          view
	width, height int
}

type frame time.Time

func next() tea.Cmd { return tea.Tick(frameEvery, func(t time.Time) tea.Msg { return frame(t) }) }

// Init begins the frames.
func (m *model) Init() tea.Cmd { return next() }

// Update takes a key or a frame.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case frame:
		m.view.Picture, m.view.at = m.feed.look(), time.Time(msg)
		return m, next()
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

func (m *model) key(k string) tea.Cmd {
	page := max(1, m.height/2)
	steps := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -page, "pgdown": page}
	switch k {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	}
	m.view.offset = min(max(m.view.offset+steps[k], 0), m.view.last(m.height))
	return nil
}

// View draws the screen.
func (m *model) View() tea.View {
	if m.width == 0 {
		return tea.NewView("")
	}
	v := tea.NewView(m.view.render(m.width, max(m.height, MinHeight)))
	v.AltScreen = true
	v.WindowTitle = "Atrium"
	return v
}
