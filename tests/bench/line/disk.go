package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const fsyncs = 100 // enough for a median

// fsyncTimes returns how long the folder's disk takes to make 4 KiB durable.
func fsyncTimes(folder string) (took []time.Duration, err error) {
	f, err := os.Create(filepath.Join(folder, "fsync"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, 4<<10)
	for range fsyncs {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// spread is percentiles in milliseconds.
type spread struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

func spreadOf(d []time.Duration) spread {
	if len(d) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(d))
	at := func(p int) float64 { return float64(sorted[(len(sorted)-1)*p/100]) / float64(time.Millisecond) }
	return spread{len(d), at(50), at(99)}
}
