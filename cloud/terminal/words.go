package terminal

import (
	"fmt"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// Number groups digits by thousands.
func Number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Size is a number of bytes in the unit that people would choose.
func Size(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Seconds is a duration as people would say it; a negative one is none.
func Seconds(d time.Duration) string {
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

// Unit is how people write a unit's code, with the space before it.
func Unit(code string) string {
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

// Value is what a point reports: with its unit, or, where no unit tells what it
// is, with its name.
func Value(p client.Point) string {
	switch {
	case p.Text != nil:
		return p.Point + " " + strconv.Quote(*p.Text)
	case p.Value == nil:
		return p.Point + " –"
	case p.Kind == "boolean" && *p.Value != 0:
		return p.Point + " yes"
	case p.Kind == "boolean":
		return p.Point + " no"
	case p.Kind == "counter":
		return p.Point + " " + Number(uint64(*p.Value))
	}
	return strconv.FormatFloat(*p.Value, 'f', decimals(*p.Value), 64) + Unit(p.Unit)
}

// Liveness is the mark of a device that is live, silent or not known yet.
func Liveness(liveness string) (Look, string) {
	switch liveness {
	case "live":
		return Good, "●"
	case "silent":
		return Bad, "○"
	}
	return Faint, "○"
}

// Reported is a point's value, and its quality where that is not good.
func Reported(p client.Point) string {
	if p.Quality == "good" || p.Quality == "" {
		return Value(p)
	}
	return Value(p) + " (" + p.Quality + ")"
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
