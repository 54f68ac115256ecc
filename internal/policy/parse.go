package policy

import (
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/internal/yaml"
	"stint.dev/stint/job"
)

// MaxSize is the most bytes that the text of a policy may have.
const MaxSize = 64 << 10

// Error is a mistake in the text of a policy.
type Error = yaml.Mistake

// Parse reads a policy. What the text does not set is as in Default. The error is an
// *Error: an unknown key, a key given twice, a value that makes no sense.
func Parse(text []byte) (Policy, error) {
	p := Default()
	if len(text) > MaxSize {
		return p, yaml.At(1, 1, "a policy has at most %d bytes, and this one has %d", MaxSize, len(text))
	}
	mistakes := yaml.Document(string(text), "policy", 1, p.read)
	if len(mistakes) > 0 {
		return Default(), mistakes[0]
	}
	return p, nil
}

// Check returns the first mistake of a policy that is a part of another document; see Read.
func Check(v yaml.Value) error {
	_, err := Read(v)
	return err
}

// Read reads a policy that is a part of another document. Mistakes are reported to that.
func Read(v yaml.Value) (Policy, error) {
	p := Default()
	err := p.read(v)
	return p, err
}

func (p *Policy) read(root yaml.Value) error {
	return root.Each("policy", []string{"rules", "actions", "keep"}, func(key yaml.Key, v yaml.Value) error {
		switch key.Name {
		case "keep":
			return p.keep(v)
		case "rules":
			return v.Each("rules", append(Rules(), JobRules()...), func(rule yaml.Key, v yaml.Value) error { return p.rule(rule.Name, v) })
		}
		return v.Each("actions", slices.Concat(Rules(), JobRules(), Ends()), func(on yaml.Key, v yaml.Value) error { return p.action(on.Name, v) })
	})
}

func boolean(v yaml.Value) (bool, error) {
	text, err := v.Text()
	if err != nil {
		return false, err
	}
	switch text {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	}
	return false, v.Wrong("%s is neither true nor false", job.Quote(text))
}

// span reads a duration; a bare number has no unit and is refused, but for 0.
func span(v yaml.Value) (Span, error) {
	text, err := v.Text()
	if err != nil {
		return 0, err
	}
	d, err := ParseSpan(text)
	if err != nil {
		return 0, v.Wrong("%s is not a duration such as 90s, 15m, 2h or 1d", job.Quote(text))
	}
	if d < 0 || d.D() > Longest {
		return 0, v.Wrong("%s is not between 0 and %s", job.Quote(text), "366d")
	}
	return d, nil
}

func number(v yaml.Value, low, high float64) (float64, error) {
	text, err := v.Text()
	if err != nil {
		return 0, err
	}
	return numberIn(v, strings.TrimSuffix(text, "%"), low, high)
}

// plain reads a number that is no percentage.
func plain(v yaml.Value, low, high float64) (float64, error) {
	text, err := v.Text()
	if err != nil {
		return 0, err
	}
	return numberIn(v, text, low, high)
}

// numberIn reads the text of a value.
func numberIn(v yaml.Value, text string, low, high float64) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !finite(f) {
		return 0, v.Wrong("%s is not a number", job.Quote(text))
	}
	if f < low || f > high {
		return 0, v.Wrong("%s is not between %g and %g", job.Quote(text), low, high)
	}
	return f, nil
}

// whole reads a whole number.
func whole(v yaml.Value, low, high int64) (int64, error) {
	f, err := number(v, float64(low), float64(high))
	if err != nil {
		return 0, err
	}
	return wholeOf(v, f)
}

func wholeOf(v yaml.Value, f float64) (int64, error) {
	if f != float64(int64(f)) {
		return 0, v.Wrong("%g is not a whole number", f)
	}
	return int64(f), nil
}

func size(v yaml.Value) (int64, error) {
	text, err := v.Text()
	if err != nil {
		return 0, err
	}
	b, err := ParseSize(text)
	if err != nil || b <= 0 {
		return 0, v.Wrong("%s is not a size such as 500M or 2GiB", job.Quote(text))
	}
	return b, nil
}

func severity(v yaml.Value) (job.Health, error) {
	text, err := v.Text()
	if err != nil {
		return "", err
	}
	if h := job.Health(text); h == job.Warning || h == job.Critical {
		return h, nil
	}
	return "", v.Wrong("%s is neither warning nor critical", job.Quote(text))
}
