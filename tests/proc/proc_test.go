package proc

import (
	"os"
	"testing"
)

func TestASampleIsFoundByItsWholeName(t *testing.T) {
	c, err := parse([]byte("# TYPE a counter\na_total 3\na{source=\"none\"} 1\na{source=\"system\"} 2\nab 4e+00\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"a": 3, `a{source="system"}`: 2, "a_total": 3, "ab": 4} {
		if got, err := c.Of(name); got != want || err != nil {
			t.Errorf("%s = %g, %v; want %g", name, got, err, want)
		}
	}
	if v, err := c.Of("a_"); err == nil {
		t.Errorf("a_ = %g, which nobody said", v)
	}
}

func TestALineThatIsNoMetricIsNamed(t *testing.T) {
	if c, err := parse([]byte("a 1\nb one\n")); err == nil {
		t.Errorf("%v was read from a number in letters", c)
	}
}

func TestAProcessMemoryIsItsAnonymousAndItsFileShare(t *testing.T) {
	m, err := MemoryOf(os.Getpid())
	if err != nil || m.Anon == 0 || m.File == 0 || m.Anon+m.File != m.RSS || m.PeakRSS < m.RSS {
		t.Errorf("%+v, %v", m, err)
	}
	free, err := Available()
	if err != nil || free <= 0 {
		t.Errorf("%d bytes available, %v", free, err)
	}
}
