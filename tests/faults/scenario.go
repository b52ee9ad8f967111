package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// scenario is one kind of fault.
type scenario struct {
	name     string
	protects string // what must hold, in a sentence
	needs    []need
	costs    []string // reasons that the ledger may have for it
	run      func(ctx context.Context, t *trial) error
}

// scenarios are all of them, in the order in which they are run: the long ones
// first, so that the end is not waiting for one.
func scenarios() []scenario {
	return slices.Concat(crashes, disks, reconnects, networks, clouds, identities)
}

// need is what a scenario cannot do without.
type need string

const (
	root  need = "root"
	loops need = "loop devices"
)

// survey finds out which needs this machine cannot meet, and why.
func survey() map[need]string {
	lacks := map[need]string{}
	if os.Geteuid() != 0 {
		lacks[root] = "this is not root"
		lacks[loops] = "mounting needs root"
		return lacks
	}
	if err := tryLoop(); err != nil {
		lacks[loops] = strings.Join(strings.Fields(err.Error()), " ")
	}
	return lacks
}

// tryLoop mounts a small image, as containers often may not.
func tryLoop() error {
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "atrium-faults-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := newDisk(dir, 4<<20)
	if err != nil {
		return err
	}
	return d.unmount()
}

// verdicts of a scenario.
const (
	passed  = "ok"
	failed  = "FAILED"
	skipped = "skipped"
)

// result is what came of a scenario. Counts are readings.
type result struct {
	Scenario    string  `json:"scenario"`
	Rounds      int     `json:"rounds"`
	Sampled     int     `json:"sampled"`
	Lost        int     `json:"lost"`
	Duplicated  int     `json:"duplicated"`
	Gaps        int     `json:"gaps"`
	Uncommitted int     `json:"uncommitted"`
	Remainder   int     `json:"remainder"`
	Seconds     float64 `json:"seconds"`
	Verdict     string  `json:"verdict"`
	// Why it failed or was skipped; of one that went well what else was counted.
	Notes []string `json:"notes,omitempty"`
}

// perform runs one scenario to its verdict.
func perform(ctx context.Context, s scenario, o options, lacks map[need]string, p *progress) result {
	begin := time.Now()
	r := result{Scenario: s.name, Verdict: skipped}
	for _, n := range s.needs {
		if why, lacking := lacks[n]; lacking {
			r.Notes = append(r.Notes, fmt.Sprintf("needs %s: %s", n, why))
			p.say(s.name, "skipped: %s", r.Notes[0])
			return r
		}
	}
	t, err := newTrial(s, o, p)
	if err == nil {
		err = t.perform(ctx)
		r = t.result
	}
	r.Seconds = time.Since(begin).Seconds()
	r.Verdict = passed
	if err != nil {
		r.Verdict = failed
		r.Notes = append(r.Notes, err.Error())
	}
	p.say(s.name, "%s", strings.TrimSpace(r.Verdict+" "+strings.Join(r.Notes, "; ")))
	return r
}

// dice are a scenario's own: the same seed draws the same, whatever else runs.
func dice(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
