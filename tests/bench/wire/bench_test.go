package main

import (
	"fmt"
	"testing"
)

func BenchmarkEncode(b *testing.B) {
	for _, w := range loads() {
		b.Run(fmt.Sprintf("%s-%d", w.name, w.readings), func(b *testing.B) { benchEncode(b, &w) })
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, w := range loads() {
		b.Run(fmt.Sprintf("%s-%d", w.name, w.readings), func(b *testing.B) { benchDecode(b, &w) })
	}
}

// The figures that the format was built for: a change that loses them is a
// change of the format's worth.
func TestFramesStayWithinTheirBytesPerReading(t *testing.T) {
	for _, c := range []struct {
		w    load
		most float64
	}{{gateway(1000), 1.0}, {gateway(5000), 0.5}, {motion(1000), 1.1}} {
		var s scratch
		frame := c.w.encode(nil, &s)
		if err := c.w.decode(frame, &s); err != nil {
			t.Fatal(err)
		}
		if got := float64(len(frame)) / float64(c.w.readings); got > c.most {
			t.Errorf("%s-%d: %.3f bytes a reading, want at most %.2f", c.w.name, c.w.readings, got, c.most)
		}
	}
}

// A live frame is a row of each device, and those are much alike.
func TestALiveFrameIsPackedToAThirdLess(t *testing.T) {
	w := gateway(100)
	var s scratch
	plain := w.encode(nil, &s)
	packed := s.packer.Append(nil, &s.frame)
	if 3*len(packed) > 2*len(plain) {
		t.Errorf("%d bytes packed of %d", len(packed), len(plain))
	}
	if err := s.unpacker.Parse(&s.frame, packed); err != nil || len(s.frame.Blocks) != len(w.series) {
		t.Errorf("%d blocks come back, %v", len(s.frame.Blocks), err)
	}
}

func TestEncodingAndDecodingAFrameDoNotAllocate(t *testing.T) {
	w := gateway(1000)
	var s scratch
	buf := w.encode(nil, &s)
	if n := testing.AllocsPerRun(50, func() {
		buf = w.encode(buf[:0], &s)
		if err := w.decode(buf, &s); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
}
