package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"stint.dev/stint/job"
)

// MaxSize is the most bytes that the text of a policy may have.
const MaxSize = 64 << 10

// Error is a mistake in the text of a policy.
type Error struct {
	Line, Column int // from 1
	Why          string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Why)
}

// Parse reads a policy. What the text does not say stays as in Default. The error is an
// *Error: an unknown key, a key given twice, a value that makes no sense.
func Parse(text []byte) (Policy, error) {
	p := Default()
	if len(text) > MaxSize {
		return p, &Error{1, 1, fmt.Sprintf("a policy has at most %d bytes, and this one has %d", MaxSize, len(text))}
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return p, syntaxError(err)
	}
	root, err := rootOf(file)
	if err != nil || root == nil {
		return p, err
	}
	err = eachKey(root, "policy", []string{"rules", "actions"}, func(key string, v ast.Node) error {
		if key == "rules" {
			return eachKey(v, "rules", Rules(), func(rule string, v ast.Node) error { return p.rule(rule, v) })
		}
		return eachKey(v, "actions", append(Rules(), Ends()...), func(on string, v ast.Node) error { return p.action(on, v) })
	})
	if err != nil {
		return Default(), err
	}
	return p, nil
}

// rootOf is the one document of a file; nil when it says nothing.
func rootOf(file *ast.File) (ast.Node, error) {
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if root != nil {
			return nil, at(doc.Body, "a policy is one document, and this is a second one")
		}
		root = doc.Body
	}
	return root, nil
}

// syntaxError keeps the place that the parser found.
func syntaxError(err error) error {
	var place interface{ GetToken() *token.Token }
	var words interface{ GetMessage() string }
	out := &Error{1, 1, "this is not YAML"}
	if errors.As(err, &words) {
		out.Why += ": " + job.Quote(words.GetMessage())
	}
	if errors.As(err, &place) && place.GetToken() != nil && place.GetToken().Position != nil {
		out.Line, out.Column = place.GetToken().Position.Line, place.GetToken().Position.Column
	}
	return out
}

func at(n ast.Node, format string, args ...any) *Error {
	e := &Error{1, 1, fmt.Sprintf(format, args...)}
	if t := n.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// eachKey calls f for every key of a mapping, which must be one of known. A key that is
// there twice was refused by the parser.
func eachKey(n ast.Node, of string, known []string, f func(key string, value ast.Node) error) error {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	case *ast.NullNode:
		return nil
	default:
		return at(n, "%s must be a list of keys and values: %s", of, strings.Join(known, ", "))
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok || !slices.Contains(known, key.Value) {
			return at(pair.Key, "%s is not known in %s: there is %s", job.Quote(pair.Key.GetToken().Value), of, strings.Join(known, ", "))
		}
		if err := f(key.Value, pair.Value); err != nil {
			return err
		}
	}
	return nil
}

// word is a plain value as it was written. Anchors, aliases, tags and nested values are
// none.
func word(n ast.Node) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, nil
	}
	return "", at(n, "here must be one plain value")
}

func boolean(n ast.Node) (bool, error) {
	text, err := word(n)
	if err != nil {
		return false, err
	}
	switch text {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	}
	return false, at(n, "%s is neither true nor false", job.Quote(text))
}

// span reads a duration; a bare number has no unit and is refused, but for 0.
func span(n ast.Node) (Span, error) {
	text, err := word(n)
	if err != nil {
		return 0, err
	}
	d, err := parseSpan(text)
	if err != nil {
		return 0, at(n, "%s is not a duration such as 90s, 15m, 2h or 1d", job.Quote(text))
	}
	if d < 0 || d.D() > Longest {
		return 0, at(n, "%s is not between 0 and %s", job.Quote(text), "366d")
	}
	return d, nil
}

func number(n ast.Node, low, high float64) (float64, error) {
	text, err := word(n)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !finite(f) {
		return 0, at(n, "%s is not a number", job.Quote(text))
	}
	if f < low || f > high {
		return 0, at(n, "%s is not between %g and %g", job.Quote(text), low, high)
	}
	return f, nil
}

func size(n ast.Node) (int64, error) {
	text, err := word(n)
	if err != nil {
		return 0, err
	}
	b, err := parseSize(text)
	if err != nil || b <= 0 {
		return 0, at(n, "%s is not a size such as 500M or 2GiB", job.Quote(text))
	}
	return b, nil
}

func severity(n ast.Node) (job.Health, error) {
	text, err := word(n)
	if err != nil {
		return "", err
	}
	if h := job.Health(text); h == job.Warning || h == job.Critical {
		return h, nil
	}
	return "", at(n, "%s is neither warning nor critical", job.Quote(text))
}
