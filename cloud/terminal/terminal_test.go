package terminal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/terminal"
)

func TestSparklinesScaleToTheirValuesButNotToNoise(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   string
	}{
		{nil, "    "},
		{[]float64{1, 2, 3}, " ▁▄█"},
		{[]float64{9, 1, 2, 3, 4}, "▁▃▅█"},
		{[]float64{20, 20.01, 20, 20}, "▄▄▄▄"},
	} {
		if got := terminal.Spark(c.values, 4, 0.5); got != c.want {
			t.Errorf("terminal.Spark(%v) = %q, want %q", c.values, got, c.want)
		}
	}
}

func TestALineIsExactlyAsWideAsAsked(t *testing.T) {
	var l terminal.Line
	l.Add(terminal.Bold, "büro ")
	l.Add(terminal.Plain, "21.43 °C")
	for width, want := range map[int]string{16: "büro 21.43 °C   ", 13: "büro 21.43 °C", 8: "büro 21…", 5: "büro…", 0: ""} {
		if got := ansi.Strip(l.Render(width)); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
	if l.To(6); l.Width() != 6 {
		t.Errorf("cut to %d columns, want 6", l.Width())
	}
}

func TestNumbersAreInTheWordsOfPeople(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	said := "a\tb"
	for want, got := range map[string]string{
		"1,234,567":    terminal.Number(1234567),
		"999":          terminal.Number(999),
		"1.5 KiB":      terminal.Size(1536),
		"0.0 s":        terminal.Seconds(-time.Minute),
		"95 s":         terminal.Seconds(95 * time.Second),
		"90 min":       terminal.Seconds(90 * time.Minute),
		"21.43 °C":     terminal.Value(client.Point{Point: "temperature", Unit: "Cel", Kind: "number", Value: v(21.4312)}),
		"1013 hPa":     terminal.Value(client.Point{Point: "pressure", Unit: "hPa", Kind: "number", Value: v(1013.25)}),
		"motion yes":   terminal.Value(client.Point{Point: "motion", Kind: "boolean", Value: v(1)}),
		"on –":         terminal.Value(client.Point{Point: "on", Kind: "boolean"}),
		`state "a\tb"`: terminal.Value(client.Point{Point: "state", Kind: "text", Text: &said}),
		"count 12,345": terminal.Value(client.Point{Point: "count", Kind: "counter", Value: v(12345)}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := strings.TrimSpace(terminal.Unit("1")); got != "" {
		t.Errorf("a ratio has unit %q", got)
	}
}
