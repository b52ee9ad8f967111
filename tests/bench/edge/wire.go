package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

const module = "github.com/atrium-iot/atrium/tests/bench/"

// codec is what tests/bench/wire says of one workload.
type codec struct {
	Workload        string  `json:"workload"`
	Readings        int     `json:"readings_per_frame"`
	BytesPerReading float64 `json:"bytes_per_reading"`
	EncodeNs        float64 `json:"encode_ns_per_reading"`
	DecodeNs        float64 `json:"decode_ns_per_reading"`
	EncodeAllocs    int64   `json:"encode_allocs_per_frame"`
	DecodeAllocs    int64   `json:"decode_allocs_per_frame"`
}

// codecAims are the bytes a reading of the workloads that count.
var codecAims = map[string]string{"gw 1000": "<= 1.0", "gw 5000": "<= 0.50", "imu6 996": "<= 1.1"}

// measureWire lets tests/bench/wire measure the codec, in a process of its own.
func measureWire(ctx context.Context, o options) ([]figure, error) {
	args := []string{"run", module + "wire", "-json"}
	if o.short {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var said struct{ Results []codec }
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, err
	}
	var figures []figure
	for _, c := range said.Results {
		name := fmt.Sprintf("%s %d", c.Workload, c.Readings)
		aim, ok := codecAims[name]
		if !ok {
			continue
		}
		figures = append(figures,
			figure{Name: name + ", size", Value: c.BytesPerReading, Unit: "B/reading", Aim: aim},
			figure{Name: name + ", encode + decode", Value: c.EncodeNs + c.DecodeNs, Unit: "ns/reading", Aim: "<= 30"},
			figure{Name: name + ", encode", Value: float64(c.EncodeAllocs), Unit: "allocations/frame", Aim: "<= 2"},
			figure{Name: name + ", decode", Value: float64(c.DecodeAllocs), Unit: "allocations/frame"})
	}
	if len(figures) != 4*len(codecAims) {
		return nil, fmt.Errorf("want %d workloads of the codec: %s", len(codecAims), out)
	}
	return figures, nil
}
