package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

type nodeKind uint8

const (
	nothing nodeKind = iota // no value, null or ~
	text                    // quoted, or plain and nothing else
	number                  // plain; what it is worth depends on who reads it
	boolean
	list
	mapping
)

// node is a value of the document, freed from the parser's types.
type node struct {
	kind         nodeKind
	path         string
	line, column int
	text         string // of a scalar, unquoted
	items        []*node
	keys         []key // in the document's order
}

type key struct {
	name         string
	line, column int
	value        *node
}

// String describes the value in an error's "got".
func (n *node) String() string {
	switch n.kind {
	case nothing:
		return "nothing"
	case list:
		return "a list"
	case mapping:
		return "keys and values"
	case text:
		return strconv.Quote(short(n.text))
	}
	return short(n.text)
}

// short bounds what an error repeats of the document.
func short(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// convert copies the parser's tree and checks what YAML allows and we do not.
func (d *Document) convert(in ast.Node, path, name string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, d.at(in.GetToken(), name, "nested deeper than %d", maxDepth)
	}
	n := &node{path: path}
	if t := in.GetToken(); t != nil && t.Position != nil {
		n.line, n.column = t.Position.Line, t.Position.Column
	}
	d.places[path] = n
	switch v := in.(type) {
	case *ast.NullNode:
		n.kind = nothing
	case *ast.StringNode:
		n.kind, n.text = text, v.Value
		if v.Token.Type == token.StringType && isDecimal(v.Value) {
			n.kind = number
		}
	case *ast.LiteralNode:
		n.kind, n.text = text, v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = number, in.GetToken().Value
	case *ast.BoolNode:
		n.kind, n.text = boolean, strconv.FormatBool(v.Value)
	case *ast.SequenceNode:
		n.kind = list
		for i, item := range v.Values {
			if item == nil {
				return nil, d.at(v.Start, name, "item %d has no value", i)
			}
			one, err := d.convert(item, Index(path, i), fmt.Sprintf("%s[%d]", name, i), depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, one)
		}
	case *ast.MappingNode:
		n.kind = mapping
		return n, d.convertKeys(n, v.Values, depth)
	case *ast.MappingValueNode:
		n.kind = mapping
		return n, d.convertKeys(n, []*ast.MappingValueNode{v}, depth)
	default:
		return nil, d.at(in.GetToken(), name, "%s is not allowed here", describe(in))
	}
	return n, nil
}

// isDecimal says whether a plain text is a number by YAML 1.2 (10.3.2) that
// the parser takes for a text, as it does with 1e6.
func isDecimal(s string) bool {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

func (d *Document) convertKeys(n *node, values []*ast.MappingValueNode, depth int) error {
	seen := make(map[string]int, len(values))
	for i, v := range values {
		t := v.Key.GetToken()
		if _, ok := v.Key.(*ast.StringNode); !ok {
			return d.at(t, "", "want a plain or quoted key, got %s", describe(v.Key))
		}
		name := v.Key.(*ast.StringNode).Value
		if line, twice := seen[name]; twice {
			return d.at(t, name, "given twice, first in line %d", line)
		}
		k := key{name: name, line: t.Position.Line, column: t.Position.Column}
		seen[name] = k.line
		if i == 0 {
			n.line, n.column = k.line, k.column
		}
		if v.Value == nil {
			return d.at(t, name, "has no value")
		}
		var err error
		if k.value, err = d.convert(v.Value, Join(n.path, name), name, depth+1); err != nil {
			return err
		}
		if k.value.kind == nothing {
			k.value.line, k.value.column = k.line, k.column
		}
		n.keys = append(n.keys, k)
	}
	return nil
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.AnchorNode:
		return "an anchor (&)"
	case *ast.AliasNode:
		return "an alias (*)"
	case *ast.TagNode:
		return "a tag (!)"
	case *ast.MergeKeyNode:
		return "a merge key (<<)"
	case *ast.MappingKeyNode:
		return "an explicit key (?)"
	case *ast.DirectiveNode:
		return "a directive (%)"
	}
	return "another type (" + strings.ToLower(n.Type().String()) + ")"
}

func (d *Document) at(t *token.Token, name, format string, args ...any) error {
	e := &Error{File: d.file, Key: name, Text: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

func (d *Document) errorAt(n *node, format string, args ...any) error {
	return &Error{d.file, n.line, n.column, keyOf(n.path), fmt.Sprintf(format, args...)}
}

// Tree returns the document as plain values: map[string]any, []any, string,
// bool, nil, and for numbers int64, uint64 or float64, the first that holds
// the value however it is written: 1.0 is the int64 1. It carries no comments, places or order of keys.
func (d *Document) Tree() any { return d.root.tree() }

func (n *node) tree() any {
	switch n.kind {
	case text:
		return n.text
	case boolean:
		return n.text == "true"
	case number:
		return n.number()
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.tree()
		}
		return items
	case mapping:
		keys := make(map[string]any, len(n.keys))
		for _, k := range n.keys {
			keys[k.name] = k.value.tree()
		}
		return keys
	}
	return nil
}

func (n *node) number() any {
	if v, err := parseInt(n.text, 64); err == nil {
		return v
	}
	if v, err := parseUint(n.text, 64); err == nil {
		return v
	}
	v, err := parseFloat(n.text)
	switch {
	case err != nil:
		return math.NaN()
	case v == math.Trunc(v) && math.Abs(v) <= 1<<53:
		return int64(v) // 1.0 is 1
	}
	return v
}
