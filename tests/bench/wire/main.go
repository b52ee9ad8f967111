// Command wire measures the frame codec: bytes a reading and nanoseconds a
// reading for the workloads of docs/BENCHMARKS.md, in memory, on one core.
// It prints a table, or JSON with --json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"text/tabwriter"
)

// result is one line of the table.
type result struct {
	Workload        string  `json:"workload"`
	Readings        int     `json:"readings_per_frame"`
	FrameBytes      int     `json:"frame_bytes"`
	BytesPerReading float64 `json:"bytes_per_reading"`
	EncodeNs        float64 `json:"encode_ns_per_reading"`
	DecodeNs        float64 `json:"decode_ns_per_reading"`
	EncodeAllocs    int64   `json:"encode_allocs_per_frame"`
	DecodeAllocs    int64   `json:"decode_allocs_per_frame"`

	// As the buffer writes it: packed, if that saves more than 5 %.
	PackedBytes           int     `json:"packed_frame_bytes"`
	PackedBytesPerReading float64 `json:"packed_bytes_per_reading"`
	PackNs                float64 `json:"pack_ns_per_frame"` // beside the encoding
	UnpackNs              float64 `json:"unpack_ns_per_frame"`
}

func main() {
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	short := flag.Bool("short", false, "measure each time for a moment only: whether it runs, not how fast")
	testing.Init()
	flag.Parse()
	if err := run(*asJSON, *short); err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
}

func run(asJSON, short bool) error {
	if short {
		if err := flag.Set("test.benchtime", "10ms"); err != nil {
			return err
		}
	}
	results := make([]result, 0, 4)
	for _, w := range loads() {
		r, err := measure(&w)
		if err != nil {
			return fmt.Errorf("%s %d: %w", w.name, w.readings, err)
		}
		results = append(results, r)
	}
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(map[string]any{
			"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "results": results,
		})
	}
	return printTable(results)
}

func loads() []load {
	return []load{gateway(100), gateway(1000), gateway(5000), motion(1000), machines(100)}
}

func measure(w *load) (result, error) {
	var s scratch
	frame := w.encode(nil, &s)
	if err := w.decode(frame, &s); err != nil {
		return result{}, err
	}
	n := float64(w.readings)
	packed := s.packer.Append(nil, &s.frame)
	pack := testing.Benchmark(func(b *testing.B) { benchPack(b, w) })
	unpack := testing.Benchmark(func(b *testing.B) { benchUnpack(b, packed) })
	encode := testing.Benchmark(func(b *testing.B) { benchEncode(b, w) })
	decode := testing.Benchmark(func(b *testing.B) { benchDecode(b, w) })
	return result{
		Workload: w.name, Readings: w.readings, FrameBytes: len(frame),
		BytesPerReading: float64(len(frame)) / n,
		EncodeNs:        float64(encode.NsPerOp()) / n,
		DecodeNs:        float64(decode.NsPerOp()) / n,
		EncodeAllocs:    encode.AllocsPerOp(),
		DecodeAllocs:    decode.AllocsPerOp(),

		PackedBytes: len(packed), PackedBytesPerReading: float64(len(packed)) / n,
		PackNs: float64(pack.NsPerOp()), UnpackNs: float64(unpack.NsPerOp()),
	}, nil
}

func benchEncode(b *testing.B, w *load) {
	var s scratch
	buf := w.encode(nil, &s)
	b.ReportAllocs()
	for b.Loop() {
		buf = w.encode(buf[:0], &s)
	}
}

func benchDecode(b *testing.B, w *load) {
	var s scratch
	buf := w.encode(nil, &s)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.decode(buf, &s); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPack(b *testing.B, w *load) {
	var s scratch
	buf := w.encode(nil, &s)
	b.ReportAllocs()
	for b.Loop() {
		buf = s.packer.Append(buf[:0], &s.frame)
	}
}

func benchUnpack(b *testing.B, frame []byte) {
	var s scratch
	b.ReportAllocs()
	for b.Loop() {
		if err := s.unpacker.Parse(&s.frame, frame); err != nil {
			b.Fatal(err)
		}
	}
}

func printTable(results []result) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "workload\treadings\tframe B\tB/reading\tencode ns\tdecode ns\tsum ns\tallocs\tpacked B\tB/reading\tpack us\tunpack us\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.2f\t%.1f\t%.1f\t%.1f\t%d\t%d\t%.2f\t%.1f\t%.1f\t\n", r.Workload, r.Readings, r.FrameBytes,
			r.BytesPerReading, r.EncodeNs, r.DecodeNs, r.EncodeNs+r.DecodeNs, r.EncodeAllocs+r.DecodeAllocs,
			r.PackedBytes, r.PackedBytesPerReading, r.PackNs/1000, r.UnpackNs/1000)
	}
	return t.Flush()
}
