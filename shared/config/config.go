// Package config reads YAML that people write: configuration files and device
// profiles. It is stricter than YAML: unknown and duplicate keys, values of
// another type or out of range, aliases, tags and second documents are errors,
// and every error names the place and what is wanted there:
//
//	edge.yaml:7:10: key "every": want a duration such as 500ms, got "x"
//
// Parse reads a file's bytes into a Document, Document.Decode fills a struct,
// and the caller reports what only it can know through Document.Errorf, by the
// path of the value. The package reads no files and knows no key.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxSize bounds a document in bytes. A gateway with 1,000 devices needs
	// about 100 KiB; the parser takes some 100 bytes of memory for each byte.
	MaxSize = 256 << 10

	// maxLines bounds the lines: the parser's time grows with the square of the
	// entries in a block; 8,192 of them take 0.2 s.
	maxLines = 8192

	// maxLine bounds a line in bytes and so the depth of block nesting, where
	// each level needs a column. The longest expressions are below 200 bytes.
	maxLine = 1024

	// maxDepth bounds nesting: the parser recurses, and keeps a path as long
	// as the nesting for every value. Profiles reach 5.
	maxDepth = 32
)

// Mark is the byte order mark with which a file may begin; it says nothing.
const Mark = "\ufeff"

// Error is a fault in a document, with its place.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 when the document as a whole is meant
	Key          string // the key's name as written, with list indices; empty at the root
	Text         string
}

func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&s, ":%d:%d", e.Line, e.Column)
	}
	s.WriteString(": ")
	if e.Key != "" {
		fmt.Fprintf(&s, "key %q: ", e.Key)
	}
	s.WriteString(e.Text)
	return s.String()
}

// Document is a parsed YAML document. It never changes.
type Document struct {
	file   string
	root   *node
	places map[string]*node // by path
}

// Parse reads a document whose root is a mapping. file is used in errors only.
// The result does not alias data. Every error is an *Error.
func Parse(file string, data []byte) (d *Document, err error) {
	// The parser is code of others on input of others: a panic on its tree is
	// a fault of the document, not the end of the process.
	defer func() {
		if p := recover(); p != nil {
			d, err = nil, &Error{File: file, Text: fmt.Sprintf("not YAML: the parser failed: %v", p)}
		}
	}()
	data = bytes.TrimPrefix(data, []byte(Mark))
	if err := checkText(file, data); err != nil {
		return nil, err
	}
	tree, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	d = &Document{file: file, places: make(map[string]*node)}
	switch len(tree.Docs) {
	case 0:
		return nil, &Error{File: file, Text: "the document is empty"}
	case 1:
	default:
		return nil, d.at(tree.Docs[1].Start, "", "want one document in a file, here a second one begins")
	}
	body := tree.Docs[0].Body
	if body == nil {
		return nil, &Error{File: file, Text: "the document is empty"}
	}
	if d.root, err = d.convert(body, "$", "", 0); err != nil {
		return nil, err
	}
	if d.root.kind != mapping {
		return nil, d.errorAt(d.root, "want keys and values, got %s", d.root)
	}
	return d, nil
}

// Errorf reports a fault at a value: "$.devices[2].address". When the document
// does not hold that path, the place is that of its nearest parent. The result
// is an *Error.
func (d *Document) Errorf(path, format string, args ...any) error {
	for at := path; ; at = parent(at) {
		if n, ok := d.places[at]; ok {
			return &Error{d.file, n.line, n.column, keyOf(path), fmt.Sprintf(format, args...)}
		}
		if at == "" {
			return &Error{File: d.file, Key: keyOf(path), Text: fmt.Sprintf(format, args...)}
		}
	}
}

// Has says whether the document holds a value at the path.
func (d *Document) Has(path string) bool { return d.places[path] != nil }

// Join returns the path of a key below a path.
func Join(path, key string) string { return path + "." + key }

// Index returns the path of a list's item below a path, from 0.
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent cuts the last step of a path.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// keyOf returns the last key of a path with the indices behind it.
func keyOf(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i+1:]
	}
	return ""
}

// checkText refuses what the parser should not see.
func checkText(file string, data []byte) error {
	if len(data) > MaxSize {
		return &Error{File: file, Text: fmt.Sprintf("%d bytes, at most %d", len(data), MaxSize)}
	}
	line := 0
	for l := range bytes.Lines(data) {
		if line++; line > maxLines {
			return &Error{File: file, Line: line, Column: 1, Text: fmt.Sprintf("more than %d lines", maxLines)}
		}
		if len(l) > maxLine {
			return &Error{File: file, Line: line, Column: maxLine + 1, Text: fmt.Sprintf("line of %d bytes, at most %d", len(l), maxLine)}
		}
		for i := 0; i < len(l); {
			r, n := utf8.DecodeRune(l[i:])
			if r == utf8.RuneError && n == 1 {
				return &Error{File: file, Line: line, Column: i + 1, Text: "want UTF-8"}
			}
			if r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
				return &Error{File: file, Line: line, Column: i + 1, Text: fmt.Sprintf("control character %#U", r)}
			}
			i += n
		}
	}
	return nil
}

// parse runs the YAML parser, on a document that is not nested too deep.
func parse(file string, data []byte) (*ast.File, error) {
	tokens := lexer.Tokenize(string(data))
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
		if depth > maxDepth {
			return nil, &Error{File: file, Line: t.Position.Line, Column: t.Position.Column, Text: fmt.Sprintf("nested deeper than %d", maxDepth)}
		}
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	return tree, nil
}

// syntaxError turns the parser's error, which prints the source, into ours.
func syntaxError(file string, err error) error {
	e := &Error{File: file, Text: "not YAML"}
	var y yaml.Error
	if !errors.As(err, &y) {
		return e
	}
	e.Text += ": " + y.GetMessage()
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}
