package screen

import (
	"fmt"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// number groups digits by thousands.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func seconds(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// unit is how people write a unit's code, with the space before it.
func unit(code string) string {
	switch code {
	case "1", "":
		return ""
	case "Cel":
		return " °C"
	case "%RH":
		return " %"
	}
	return " " + code
}

func value(p client.Point) string {
	switch {
	case p.Value == nil:
		return p.Point + " –"
	case p.Kind == "boolean" && *p.Value != 0:
		return p.Point + " yes"
	case p.Kind == "boolean":
		return p.Point + " no"
	case p.Kind == "counter":
		return p.Point + " " + number(uint64(*p.Value))
	}
	return strconv.FormatFloat(*p.Value, 'f', decimals(*p.Value), 64) + unit(p.Unit)
}

// decimals shows four digits or so.
func decimals(v float64) int {
	switch {
	case v >= 1000 || v <= -1000:
		return 0
	case v >= 100 || v <= -100:
		return 1
	}
	return 2
}

// keyWord is a key and what it does, in more and in fewer words.
type keyWord struct{ key, does, short string }

func keyHelp(site string) []keyWord {
	return []keyWord{
		{"tab", "site " + site, "site"},
		{"c", "cut or heal link", "link"},
		{"g", "kill gateway", "gateway"},
		{"n", "kill cloud node", "node"},
		{"b", "break sensor", "sensor"},
		{"r", "switch heater", "heater"},
		{"v", "verify and end", "verify"},
		{"q", "quit", "quit"},
	}
}
