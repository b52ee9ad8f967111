package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/ops"
)

// maxFile bounds a file of documents in bytes: a thousand of ordinary size.
const maxFile = 4 << 20

// sourced is a document and where it stands, for errors: rooms.yaml:12.
type sourced struct {
	*document.Document
	file string
	line int
}

func (s sourced) place() string { return fmt.Sprintf("%s:%d", s.file, s.line) }

// sourceFlag adds -f to a command that reads documents.
func sourceFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringArrayP("file", "f", nil, "a YAML file of documents, a folder of such files, or - for standard input; may be given again")
}

// faultsError are the faults of documents, joined.
type faultsError struct{ error }

// reported prints faults of documents a line each and leaves the end of the
// story for the caller's error; other errors stay as they are.
func reported(cmd *cobra.Command, err error, end string) error {
	if faults, many := errors.AsType[faultsError](err); many {
		fmt.Fprintln(cmd.ErrOrStderr(), faults)
		return errors.New(end)
	}
	return err
}

// readSources reads and judges every document of some files, folders and
// standard input, in the order in which they are applied: sites first. What is
// wrong with documents is a faultsError.
func readSources(cmd *cobra.Command, names []string) ([]sourced, error) {
	if len(names) == 0 {
		return nil, ops.Usage(errors.New("want -f FILE, -f FOLDER or -f -"))
	}
	var all []sourced
	var faults []error
	for _, name := range names {
		files, err := filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := readFile(cmd, file)
			if err != nil {
				return nil, err
			}
			placed, err := document.ParseFile(file, text)
			faults = append(faults, err)
			for _, p := range placed {
				all = append(all, sourced{p.Document, file, p.Line})
			}
		}
	}
	faults = append(faults, twice(all))
	order := document.Kinds()
	slices.SortStableFunc(all, func(a, b sourced) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	if err := errors.Join(faults...); err != nil {
		return nil, faultsError{err}
	}
	return all, nil
}

// filesOf returns the YAML files of a folder by name, or the one file.
func filesOf(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, err
	}
	entries, err := os.ReadDir(name) // by name
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			files = append(files, filepath.Join(name, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no *.yaml or *.yml in this folder", name)
	}
	return files, nil
}

func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// twice reports a document that is given again: which one is meant?
func twice(all []sourced) error {
	first := make(map[string]sourced, len(all))
	var faults []error
	for _, s := range all {
		before, again := first[s.String()]
		if again {
			faults = append(faults, fmt.Errorf("%s: %s stands at %s already", s.place(), s, before.place()))
			continue
		}
		first[s.String()] = s
	}
	return errors.Join(faults...)
}
