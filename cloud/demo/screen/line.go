package screen

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// look is how a piece of text is shown. Colours are the terminal's own sixteen,
// so that its theme decides.
type look uint8

const (
	plain look = iota
	faint
	bold
	good
	warn
	bad
	accent
)

func (l look) style() lipgloss.Style {
	s := lipgloss.NewStyle()
	switch l {
	case faint:
		return s.Faint(true)
	case bold:
		return s.Bold(true)
	case good:
		return s.Foreground(lipgloss.Green)
	case warn:
		return s.Foreground(lipgloss.Yellow)
	case bad:
		return s.Foreground(lipgloss.Red).Bold(true)
	case accent:
		return s.Foreground(lipgloss.Cyan)
	}
	return s
}

// piece is text of one look.
type piece struct {
	text string
	look look
}

// line is a row of the screen.
type line []piece

// add appends a piece.
func (l *line) add(k look, text string) { *l = append(*l, piece{text, k}) }

// to pads with spaces up to a column, and ends what reaches beyond it.
func (l *line) to(column int) {
	w := l.width()
	if w > column {
		*l = l.cut(column)
		return
	}
	l.add(plain, strings.Repeat(" ", column-w))
}

func (l line) width() (w int) {
	for _, p := range l {
		w += ansi.StringWidth(p.text)
	}
	return w
}

// cut returns the line's first columns; an ellipsis says that more was there.
func (l line) cut(columns int) line {
	var out line
	left := columns
	for i, p := range l {
		w := ansi.StringWidth(p.text)
		if w < left || w == left && l[i+1:].width() == 0 {
			out, left = append(out, p), left-w
			continue
		}
		return append(out, piece{ansi.Truncate(p.text+"…", left, "…"), p.look})
	}
	return out
}

// render writes the line, exactly columns wide.
func (l line) render(columns int) string {
	l.to(columns)
	var b strings.Builder
	for _, p := range l {
		if p.look == plain {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(p.look.style().Render(p.text))
	}
	return b.String()
}

// spark draws values as a row of bars of the given width, scaled to their own
// range, but to at least span so that noise looks small.
func spark(values []float64, width int, span float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	if len(values) > width {
		values = values[len(values)-width:]
	}
	if len(values) == 0 {
		return strings.Repeat(" ", width)
	}
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if high-low < span {
		middle := (high + low) / 2
		low, high = middle-span/2, middle+span/2
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(values)))
	for _, v := range values {
		i := int((v - low) / (high - low) * float64(len(levels)-1))
		b.WriteRune(levels[min(max(i, 0), len(levels)-1)])
	}
	return b.String()
}
