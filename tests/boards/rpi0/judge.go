package main

import (
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/look"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

const (
	// maxMemory is what the agent may have resident, in bytes: a Pi Zero has 512
	// MB, and is there for other things too.
	maxMemory = 45e6

	mb = 1e6
)

// live leaves out what was seen before the first acks of all devices.
func live(looks []look.Look) []look.Look {
	for i, l := range looks {
		if l.Connected && l.Devices == devices && l.Acked >= devices*line.WidePoints {
			return looks[i:]
		}
	}
	return nil
}

// span is the time between the first look and the last.
func span(looks []look.Look) time.Duration {
	if len(looks) == 0 {
		return 0
	}
	return looks[len(looks)-1].Up - looks[0].Up
}

// verdict is what was seen in a while.
type verdict struct {
	last           look.Look // but for its memory, which is the most of all
	sampled, acked float64   // a second
	cpu            float64   // of the emulated core, from 0 to 1
}

func (v verdict) String() string {
	m := v.last.Memory
	return fmt.Sprintf("resident %.1f MB (%.1f anonymous, %.1f of files; peak %.1f), %.0f MB of the board available; %.1f readings/s sampled, %.1f acked; %.1f %% of a core of %d million instructions/s",
		float64(m.RSS)/mb, float64(m.Anon)/mb, float64(m.File)/mb, float64(m.PeakRSS)/mb, float64(v.last.Available)/mb, v.sampled, v.acked, 100*v.cpu, 1000>>shift)
}

// judge says what two looks or more show, or what is wrong with it. How fast the
// board is is not judged.
func judge(looks []look.Look) (verdict, error) {
	first, last := looks[0], looks[len(looks)-1]
	v := verdict{last: last}
	for _, l := range looks {
		if l.Acked > l.Taken {
			return v, fmt.Errorf("%s after power-on the agent calls %d readings acked of which the gate took %d", l.Up, l.Acked, l.Taken)
		}
		if l.Memory.RSS > v.last.Memory.RSS {
			v.last.Memory = l.Memory
		}
	}
	if !last.Connected || last.Devices != devices {
		return v, fmt.Errorf("in the end the agent was connected: %t, and read %d devices, want %d", last.Connected, last.Devices, devices)
	}
	if got, want := last.Acked-first.Acked, uint64(devices*line.WidePoints); got < want {
		return v, fmt.Errorf("in %s %d readings were acked, not even the %d of one round", span(looks), got, want)
	}
	seconds := span(looks).Seconds()
	v.sampled, v.acked = float64(last.Sampled-first.Sampled)/seconds, float64(last.Acked-first.Acked)/seconds
	v.cpu = (last.CPU - first.CPU).Seconds() / seconds
	if got := last.Memory.PeakRSS; got > maxMemory {
		return v, fmt.Errorf("the agent had %.1f MB resident, want at most %.0f", float64(got)/mb, maxMemory/mb)
	}
	return v, nil
}
