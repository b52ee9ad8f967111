package main

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// size is the gateway's program for one board.
type size struct {
	Target   string           `json:"target"`
	Bytes    int64            `json:"stripped_bytes"`
	Sections map[string]int64 `json:"sections"`
	Modules  []moduleSize     `json:"largest_modules"` // code and data that carry a symbol
}

type moduleSize struct {
	Module string `json:"module"`
	Bytes  int64  `json:"bytes"`
}

// largest is how many modules are told.
const largest = 8

var targets = []struct {
	name string
	env  []string
}{
	{"arm GOARM=6", []string{"GOOS=linux", "GOARCH=arm", "GOARM=6"}},
	{"arm64", []string{"GOOS=linux", "GOARCH=arm64"}},
}

func measureSizes(ctx context.Context, o options) ([]size, error) {
	var all []size
	for _, t := range targets {
		stripped, full := filepath.Join(o.dir, "stripped"), filepath.Join(o.dir, "full")
		for file, flags := range map[string]string{stripped: "-s -w", full: ""} {
			if err := goTool(ctx, t.env, "build", "-trimpath", "-ldflags", flags, "-o", file, programs[0]); err != nil {
				return nil, err
			}
		}
		info, err := os.Stat(stripped)
		if err != nil {
			return nil, err
		}
		s := size{Target: t.name, Bytes: info.Size()}
		if s.Sections, s.Modules, err = dissect(full); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// dissect sums the program's large sections, and its symbols by module. What
// the linker shares among packages, such as the tables of pclntab and the
// types' names, has no symbol of a module's own.
func dissect(file string) (map[string]int64, []moduleSize, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	modules := []string{info.Main.Path}
	for _, m := range info.Deps {
		modules = append(modules, m.Path)
	}
	// The longest path first: a module may lie within another.
	slices.SortFunc(modules, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	f, err := elf.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	sections := map[string]int64{}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_PROGBITS && s.Flags&elf.SHF_ALLOC != 0 && s.Size >= 100_000 {
			sections[s.Name] = int64(s.Size)
		}
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, nil, err
	}
	sums := map[string]int64{}
	for _, s := range symbols {
		// Zeroed data takes memory, not room in the file.
		if int(s.Section) < len(f.Sections) && f.Sections[s.Section].Type == elf.SHT_PROGBITS {
			sums[moduleOf(s.Name, modules)] += int64(s.Size)
		}
	}
	var all []moduleSize
	for m, n := range sums {
		all = append(all, moduleSize{m, n})
	}
	slices.SortFunc(all, func(a, b moduleSize) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return sections, all[:min(largest, len(all))], nil
}

// moduleOf finds the module whose path a symbol's name holds: the linker
// writes a dot of the last path element as %2e.
func moduleOf(symbol string, modules []string) string {
	name := strings.ReplaceAll(symbol, "%2e", ".")
	for _, m := range modules {
		if i := strings.Index(name, m); i >= 0 && (len(name) == i+len(m) || strings.ContainsRune("./", rune(name[i+len(m)]))) {
			return m
		}
	}
	return "standard library and runtime"
}
