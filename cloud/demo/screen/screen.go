// Package screen shows a demonstration to a person: as a live view that fills a
// terminal, or as plain lines where there is none. What is shown is a
// demo.Picture; a frame is a pure function of it and of the terminal's size.
// Keys become demo.Actions; nothing is decided here.
package screen

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/atrium-iot/atrium/cloud/demo"
)

// frameEvery is how often the view is drawn anew: ages are shown in tenths of a
// second, and more would only cost the machine that everything runs on.
const frameEvery = 250 * time.Millisecond

// End is how a person ended the view.
type End uint8

// The ends.
const (
	Quit   End = iota // stop everything
	Verify            // stop the gateways cleanly, then compare
)

// Feed is what the view shows and acts on: demo.Feed.
type Feed interface {
	Picture() demo.Picture
	Do(ctx context.Context, a demo.Action, site int) (string, error)
	Say(text string)
}

// Show runs the live view on a terminal until a person ends it or ctx does.
func Show(ctx context.Context, f Feed, in io.Reader, out io.Writer) (End, error) {
	acting, stop := context.WithCancel(ctx)
	m := &model{ctx: acting, feed: f, view: view{Picture: f.Picture(), note: "every part is a process on this machine: the keys disturb them"}}
	// Signals end ctx.
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	stop()
	m.actions.Wait() // none may come after the end
	if err != nil && ctx.Err() == nil {
		return Quit, fmt.Errorf("screen: %w", err)
	}
	return m.end, nil
}

// model is the view under bubbletea.
type model struct {
	ctx           context.Context
	feed          Feed
	view          view
	width, height int
	end           End
	actions       sync.WaitGroup
}

type (
	frame time.Time
	// done is what became of an action.
	done struct {
		said string
		err  error
	}
)

func next() tea.Cmd { return tea.Tick(frameEvery, func(t time.Time) tea.Msg { return frame(t) }) }

// Init begins the frames.
func (m *model) Init() tea.Cmd { return next() }

// Update takes a key, a frame or an action's end.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case frame:
		m.view.Picture = m.feed.Picture()
		return m, next()
	case done:
		m.view.note = msg.said
		if msg.err != nil {
			m.view.note = msg.err.Error()
		}
		m.feed.Say(m.view.note)
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

func (m *model) key(k string) tea.Cmd {
	actions := map[string]demo.Action{
		"c": demo.SwitchLink, "g": demo.KillGateway, "n": demo.KillCloud, "b": demo.SwitchSensor, "r": demo.SwitchHeater,
	}
	switch k {
	case "tab":
		m.view.site = (m.view.site + 1) % max(1, len(m.view.Sites))
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "v":
		m.end = Verify
		return tea.Quit
	}
	if a, ok := actions[k]; ok {
		return m.do(a)
	}
	return nil
}

// do performs an action beside the frames.
func (m *model) do(a demo.Action) tea.Cmd {
	site := m.view.site
	result := make(chan done, 1)
	m.actions.Go(func() {
		said, err := m.feed.Do(m.ctx, a, site)
		result <- done{said, err}
	})
	return func() tea.Msg { return <-result }
}

// View draws the screen.
func (m *model) View() tea.View {
	if m.width == 0 {
		return tea.NewView("")
	}
	v := tea.NewView(m.view.render(m.width, m.height))
	v.AltScreen = true
	v.WindowTitle = "Atrium demo"
	return v
}
