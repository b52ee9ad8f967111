package terminal

import "strings"

// Spark draws values as a row of bars of the given width, scaled to their own
// range, but to at least span so that noise looks small.
func Spark(values []float64, width int, span float64) string {
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
