package terminal

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// Look is how a piece of text is shown. Colours are the terminal's own sixteen,
// so that its theme decides.
type Look uint8

// The looks: Good and Bad are judgements, Warn is what will need one, Accent
// what the eye should find.
const (
	Plain Look = iota
	Faint
	Bold
	Good
	Warn
	Bad
	Accent
)

func (l Look) style() lipgloss.Style {
	s := lipgloss.NewStyle()
	switch l {
	case Faint:
		return s.Faint(true)
	case Bold:
		return s.Bold(true)
	case Good:
		return s.Foreground(lipgloss.Green)
	case Warn:
		return s.Foreground(lipgloss.Yellow)
	case Bad:
		return s.Foreground(lipgloss.Red).Bold(true)
	case Accent:
		return s.Foreground(lipgloss.Cyan)
	}
	return s
}

// piece is text of one look.
type piece struct {
	text string
	look Look
}

// Line is a row of a screen: text in pieces, each of its own look.
type Line []piece

// Add appends text of a look.
func (l *Line) Add(k Look, text string) { *l = append(*l, piece{text, k}) }

// To pads with spaces up to a column, and ends what reaches beyond it.
func (l *Line) To(column int) {
	w := l.Width()
	if w > column {
		*l = l.cut(column)
		return
	}
	l.Add(Plain, strings.Repeat(" ", column-w))
}

// Width is the number of columns that the line takes.
func (l Line) Width() (w int) {
	for _, p := range l {
		w += ansi.StringWidth(p.text)
	}
	return w
}

// cut returns the line's first columns; an ellipsis says that more was there.
func (l Line) cut(columns int) Line {
	var out Line
	left := columns
	for i, p := range l {
		w := ansi.StringWidth(p.text)
		if w < left || w == left && l[i+1:].Width() == 0 {
			out, left = append(out, p), left-w
			continue
		}
		return append(out, piece{ansi.Truncate(p.text+"…", left, "…"), p.look})
	}
	return out
}

// Render writes the line, exactly columns wide.
func (l Line) Render(columns int) string {
	l.To(columns)
	var b strings.Builder
	for _, p := range l {
		if p.look == Plain {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(p.look.style().Render(p.text))
	}
	return b.String()
}
