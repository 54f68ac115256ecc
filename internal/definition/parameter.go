package definition

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stint.dev/stint/job"
)

// Types of parameters.
const (
	Text    = "text"
	Number  = "number"
	Integer = "integer"
	Boolean = "boolean"
	Choice  = "choice"
	Date    = "date"
)

var parameterTypes = []string{Text, Number, Integer, Boolean, Choice, Date}

// Limits of values.
const (
	MaxValueBytes  = 32 << 10
	MaxValuesBytes = 128 << 10 // of all values of a run together
)

// Parameter is a typed input of a job. Its value reaches the job as the variable of its name, as it
// was given. One without a default must be given.
type Parameter struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Default *string  `json:"default,omitempty"` // of a date also a word such as yesterday
	Choices []string `json:"choices,omitempty"`
	Min     string   `json:"min,omitempty"`
	Max     string   `json:"max,omitempty"`
	Pattern string   `json:"pattern,omitempty"` // of all of a text
	Help    string   `json:"help,omitempty"`
}

// ValueError is what is wrong with the value of a parameter.
type ValueError struct{ Parameter, Why string }

func (e *ValueError) Error() string { return e.Parameter + ": " + e.Why }

// ValuesError is everything that is wrong with values, in the order of the parameters.
type ValuesError struct{ All []*ValueError }

func (e *ValuesError) Error() string {
	var all []string
	for _, one := range e.All {
		all = append(all, one.Error())
	}
	return strings.Join(all, "; ")
}

// Resolve returns the value of every parameter: what was given, and else its default at a time. The
// error is a *ValuesError with all that is wrong, unless the zone cannot be read.
func (d Definition) Resolve(given map[string]string, at time.Time) (map[string]string, error) {
	zone, err := d.Location()
	if err != nil {
		return nil, err
	}
	return d.ResolveIn(given, at.In(zone))
}

// ResolveIn is Resolve in the zone of a time.
func (d Definition) ResolveIn(given map[string]string, at time.Time) (map[string]string, error) {
	values, wrong := map[string]string{}, &ValuesError{}
	size := 0
	for _, p := range d.Parameters {
		value, why := p.resolve(given, at)
		if why != "" {
			wrong.All = append(wrong.All, &ValueError{p.Name, why})
			continue
		}
		values[p.Name] = value
		size += len(value)
	}
	wrong.All = append(wrong.All, d.unknown(given)...)
	if size > MaxValuesBytes {
		wrong.All = append(wrong.All, &ValueError{"all parameters", fmt.Sprintf("their values have %d bytes, and may have %d together", size, MaxValuesBytes)})
	}
	if len(wrong.All) > 0 {
		return nil, wrong
	}
	return values, nil
}

// unknown are the given names that the job has no parameter for.
func (d Definition) unknown(given map[string]string) (wrong []*ValueError) {
	var names []string
	for _, p := range d.Parameters {
		names = append(names, p.Name)
	}
	for name := range given {
		if slices.Contains(names, name) {
			continue
		}
		why := "the job has no such parameter, and none at all"
		if len(names) > 0 {
			why = "the job has no such parameter: there is " + strings.Join(names, ", ")
		}
		wrong = append(wrong, &ValueError{job.Quote(name), why})
	}
	slices.SortFunc(wrong, func(a, b *ValueError) int { return strings.Compare(a.Parameter, b.Parameter) })
	return wrong
}

func (p Parameter) resolve(given map[string]string, at time.Time) (value, why string) {
	value, isGiven := given[p.Name]
	if isGiven {
		return value, p.Check(value)
	}
	if p.Default == nil {
		return "", "it must be given, because it has no default"
	}
	value, why = p.DefaultAt(at)
	if why == "" {
		why = p.Check(value)
	}
	if why != "" {
		why = "the default " + *p.Default + ": " + why
	}
	return value, why
}

// DefaultAt is the default at a time, in the zone of the job; why is what is wrong with it.
func (p Parameter) DefaultAt(at time.Time) (value, why string) {
	if word, ok := readWord(*p.Default); ok && p.Type == Date {
		return word.at(at)
	}
	return *p.Default, ""
}

// Check returns what is wrong with a value; empty for nothing.
func (p Parameter) Check(value string) string {
	switch {
	case len(value) > MaxValueBytes:
		return fmt.Sprintf("the value has %d bytes, and may have %d", len(value), MaxValueBytes)
	case strings.ContainsRune(value, 0):
		return "the value has the character NUL, which no variable can have"
	case !utf8.ValidString(value):
		return "the value is not text in UTF-8"
	}
	switch p.Type {
	case Number, Integer:
		return p.checkNumber(value)
	case Boolean:
		if value != "true" && value != "false" {
			return job.Quote(value) + " is neither true nor false"
		}
	case Choice:
		if !slices.Contains(p.Choices, value) {
			return job.Quote(value) + " is none of the choices: " + shorten(strings.Join(p.Choices, ", "))
		}
	case Date:
		return p.checkDate(value)
	default:
		return p.checkText(value)
	}
	return ""
}

func shorten(text string) string {
	if len(text) > 500 {
		return strings.ToValidUTF8(text[:500], "") + "…"
	}
	return text
}

func (p Parameter) checkText(value string) string {
	if p.Pattern == "" {
		return ""
	}
	whole, err := compilePattern(p.Pattern)
	if err != nil {
		return "the pattern of the parameter cannot be read: " + err.Error()
	}
	if !whole.MatchString(value) {
		return job.Quote(value) + " does not match the pattern " + p.Pattern
	}
	return ""
}

// compilePattern makes an expression that must match all of a text.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil { // by itself: a lone parenthesis would pair with ours
		return nil, err
	}
	return regexp.Compile(`^(?:` + pattern + `)$`)
}

// isDecimal reports whether a text is a number in decimal digits, such as -1.5 or 2e9: strconv.ParseFloat
// also accepts hexadecimal digits, underscores, Inf and NaN.
func isDecimal(text string) bool {
	mantissa, exponent := strings.TrimPrefix(text, "-"), "0"
	if at := strings.IndexAny(mantissa, "eE"); at >= 0 {
		mantissa, exponent = mantissa[:at], mantissa[at+1:]
		if exponent != "" && strings.ContainsRune("+-", rune(exponent[0])) {
			exponent = exponent[1:]
		}
	}
	whole, fraction, dotted := strings.Cut(mantissa, ".")
	return isDigits(whole) && (!dotted || isDigits(fraction)) && isDigits(exponent)
}

func (p Parameter) checkNumber(value string) string {
	if p.Type == Integer {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != value {
			return job.Quote(value) + " is not a whole number such as 12, of 64 bits and without zeros in front"
		}
		low, lowErr := strconv.ParseInt(p.Min, 10, 64)
		high, highErr := strconv.ParseInt(p.Max, 10, 64)
		return outside(value, p.Min, p.Max, lowErr == nil && n < low, highErr == nil && n > high)
	}
	n, ok := readNumber(value)
	if !ok {
		return job.Quote(value) + " is not a number such as 1.5"
	}
	low, hasLow := readNumber(p.Min)
	high, hasHigh := readNumber(p.Max)
	return outside(value, p.Min, p.Max, hasLow && n < low, hasHigh && n > high)
}

func readNumber(text string) (float64, bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && !math.IsInf(n, 0) && isDecimal(text)
}

func outside(value, low, high string, below, above bool) string {
	switch {
	case below:
		return job.Quote(value) + " is less than the smallest value, " + low
	case above:
		return job.Quote(value) + " is more than the largest value, " + high
	}
	return ""
}

func (p Parameter) checkDate(value string) string {
	at, ok := readDate(value)
	if !ok {
		return job.Quote(value) + " is not a date such as 2026-11-27, or a time such as 2026-11-27T02:30:00Z"
	}
	low, hasLow := readDate(p.Min)
	high, hasHigh := readDate(p.Max)
	return outside(value, p.Min, p.Max, hasLow && at.Before(low), hasHigh && at.After(high))
}

// readDate reads a date, as its first instant in UTC, or a time.
func readDate(text string) (time.Time, bool) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	return at, err == nil
}
