package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

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

// Parse reads a policy. What the text does not set is as in Default. The error is an
// *Error: an unknown key, a key given twice, a value that makes no sense.
func Parse(text []byte) (Policy, error) {
	p := Default()
	if len(text) > MaxSize {
		return p, &Error{1, 1, fmt.Sprintf("a policy has at most %d bytes, and this one has %d", MaxSize, len(text))}
	}
	if !utf8.Valid(text) {
		return p, &Error{1, 1, "this is not text in UTF-8"}
	}
	r := newReader(string(text))
	if err := r.loneReturn(); err != nil {
		return p, err
	}
	err := r.document(func(root node) error {
		return eachKey(root, "policy", []string{"rules", "actions"}, func(key string, v node) error {
			if key == "rules" {
				return eachKey(v, "rules", Rules(), func(rule string, v node) error { return p.rule(rule, v) })
			}
			return eachKey(v, "actions", append(Rules(), Ends()...), func(on string, v node) error { return p.action(on, v) })
		})
	})
	if err != nil {
		return Default(), err
	}
	return p, nil
}

func boolean(n node) (bool, error) {
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
func span(n node) (Span, error) {
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

func number(n node, low, high float64) (float64, error) {
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

func size(n node) (int64, error) {
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

func severity(n node) (job.Health, error) {
	text, err := word(n)
	if err != nil {
		return "", err
	}
	if h := job.Health(text); h == job.Warning || h == job.Critical {
		return h, nil
	}
	return "", at(n, "%s is neither warning nor critical", job.Quote(text))
}
