package membership

import (
	"fmt"
	"testing"
)

// BenchmarkABeat is what one beat of another node costs, from its bytes: of
// these a node hears four a second of each.
func BenchmarkABeat(b *testing.B) {
	m := newMachine("me", 1, noon)
	for i := range 64 {
		d := valid()
		d.Name = fmt.Sprintf("n%d", i)
		m.step(noon, event{kind: beat, doc: d})
	}
	d := valid()
	b.ReportAllocs()
	for b.Loop() {
		d.Seq++
		bytes, err := d.encode()
		if err != nil {
			b.Fatal(err)
		}
		heard, err := parseDocument(bytes)
		if err != nil {
			b.Fatal(err)
		}
		m.step(noon, event{kind: beat, doc: heard})
	}
}
