package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Module is a kernel module, uncompressed.
type Module struct {
	Name string
	Data []byte
}

// Modules returns the named modules of a kernel and all that they depend on,
// each after what it needs. folder is the kernel's below lib/modules, as its
// package has it: without depmod's files, so that each module is asked itself.
// A module that is built into the kernel is left out.
func Modules(folder string, names ...string) ([]Module, error) {
	l, err := openLibrary(folder)
	if err != nil {
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	ordered, err := order(names, l.dependencies)
	if err != nil {
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	var out []Module
	for _, n := range ordered {
		if data := l.loaded[n]; data != nil {
			out = append(out, Module{Name: n, Data: data})
		}
	}
	return out, nil
}

// order lists the names and what they need, needs first.
func order(names []string, needs func(name string) ([]string, error)) ([]string, error) {
	var out []string
	const underway, done = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case underway:
			return fmt.Errorf("module %s needs itself", name)
		case done:
			return nil
		}
		state[name] = underway
		below, err := needs(name)
		if err != nil {
			return err
		}
		for _, n := range below {
			if err := visit(n); err != nil {
				return err
			}
		}
		state[name] = done
		out = append(out, name)
		return nil
	}
	for _, n := range names {
		if err := visit(canonical(n)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// canonical is a module's name as the kernel writes it: files have dashes too.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// library is the modules of one kernel.
type library struct {
	files   map[string]string // where each module is
	builtin map[string]bool
	loaded  map[string][]byte
}

func openLibrary(folder string) (*library, error) {
	l := &library{files: map[string]string{}, builtin: map[string]bool{}, loaded: map[string][]byte{}}
	list, err := os.ReadFile(filepath.Join(folder, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for _, file := range strings.Fields(string(list)) {
		l.builtin[moduleName(file)] = true
	}
	return l, filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if name := moduleName(file); err == nil && !d.IsDir() && name != "" {
			l.files[name] = file
		}
		return err
	})
}

// moduleName is the name of the module in a file, "" if it is none.
func moduleName(file string) string {
	name, ok := strings.CutSuffix(strings.TrimSuffix(filepath.Base(file), ".xz"), ".ko")
	if !ok {
		return ""
	}
	return canonical(name)
}

// dependencies loads a module and returns what it needs.
func (l *library) dependencies(name string) ([]string, error) {
	if l.builtin[name] {
		return nil, nil
	}
	file, ok := l.files[name]
	if !ok {
		return nil, fmt.Errorf("the kernel has no module %s", name)
	}
	data, err := readModule(file)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	l.loaded[name] = data
	below, err := needed(data)
	if err != nil {
		return nil, fmt.Errorf("module %s: %s: %w", name, file, err)
	}
	return below, nil
}

func readModule(file string) ([]byte, error) {
	if strings.HasSuffix(file, ".xz") {
		return exec.Command("xz", "--decompress", "--stdout", file).Output()
	}
	return os.ReadFile(file)
}

// needed reads the "depends=" of a module's .modinfo, a list of NUL-terminated
// strings.
func needed(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			names := strings.Split(list, ",")
			for i, n := range names {
				names[i] = canonical(n)
			}
			return names, nil
		}
	}
	return nil, nil
}
