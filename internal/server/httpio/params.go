package httpio

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
)

// Params reads the query parameters of a plain handler.
type Params struct {
	Values url.Values
	Err    error // the first error
}

// MaxNumber is the largest number that JavaScript represents exactly.
const MaxNumber = 1 << 53

// NewParams reads the query parameters of a request. A parameter that is not in known is an error, so
// that a misspelt filter is not ignored.
func NewParams(r *http.Request, known ...string) *Params {
	p := &Params{}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.Refuse("the query string is invalid: escape special characters")
	}
	p.Values = values
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			p.Refuse("%s", unknownParam(name, known))
		case len(given) > 1:
			p.Refuse("the query parameter %s was given %d times", name, len(given))
		}
	}
	return p
}

// unknownParam returns the text of the error for a parameter that is not in known.
func unknownParam(name string, known []string) string {
	if len(known) == 0 {
		return "the query parameter " + job.Quote(name) + " is unknown: this request has no parameters"
	}
	return "the query parameter " + job.Quote(name) + " is unknown: this request has " + strings.Join(known, ", ")
}

// Refuse sets Err, unless it is set.
func (p *Params) Refuse(format string, args ...any) {
	if p.Err == nil {
		p.Err = NewProblem(http.StatusBadRequest, format, args...)
	}
}

// Number returns a whole number from low to high, or the default if the parameter is absent.
func (p *Params) Number(name string, low, high, byDefault int64) int64 {
	text := p.Values.Get(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		limit := "of " + strconv.FormatInt(low, 10) + " or more"
		if high < math.MaxInt32 {
			limit = "from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
		}
		p.Refuse("%s=%s: want a whole number %s", name, job.Quote(text), limit)
		return byDefault
	}
	return n
}

// Bool returns true for "true" and "1", false for "false" and "0", or the default if the parameter is
// absent.
func (p *Params) Bool(name string, byDefault bool) bool {
	switch text := p.Values.Get(name); text {
	case "":
		return byDefault
	case "true", "1":
		return true
	case "false", "0":
		return false
	default:
		p.Refuse("%s=%s: want true or false", name, job.Quote(text))
		return byDefault
	}
}

// Time returns an RFC 3339 time, or the zero time if the parameter is absent.
func (p *Params) Time(name string) time.Time {
	text := p.Values.Get(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		p.Refuse("%s=%s: want a time such as 2006-01-02T15:04:05Z", name, job.Quote(text))
	}
	return at
}

// AttemptOf returns {run}, which must be a whole run id, and {attempt} of the path of an agent's request.
func AttemptOf(r *http.Request) (run string, attempt int, err error) {
	run = strings.ToLower(r.PathValue("run"))
	if err := job.CheckRunID(run); err != nil {
		return "", 0, err
	}
	attempt, err = ParseAttempt(r.PathValue("attempt"))
	return run, attempt, err
}

// ParseAttempt parses the number of an attempt.
func ParseAttempt(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > job.MaxAttempt {
		return 0, NewProblem(http.StatusBadRequest, "the attempt %s is not a number from 1 to %d", job.Quote(text), job.MaxAttempt)
	}
	return n, nil
}

// Filter returns the filter of the parameters step and stream.
func (p *Params) Filter() logs.Filter {
	f := logs.Filter{Step: p.Values.Get("step"), Stream: job.Stream(p.Values.Get("stream"))}
	if f.Stream != "" && f.Stream != job.Stdout && f.Stream != job.Stderr {
		p.Refuse("stream=%s: want stdout or stderr", job.Quote(string(f.Stream)))
	}
	return f
}
