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

// Params reads the query parameters of a plain handler. The first mistake is kept in Err;
// parameters that the route does not know are a mistake too, so that a misspelt filter
// does not silently answer with everything.
type Params struct {
	Values url.Values
	Err    error
}

// MaxNumber is the largest number that JSON and JavaScript carry exactly.
const MaxNumber = 1 << 53

// NewParams reads the query parameters of a request, of which the route knows some.
func NewParams(r *http.Request, known ...string) *Params {
	p := &Params{}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.Refuse("the query string cannot be read: escape special characters")
	}
	p.Values = values
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			p.Refuse("query parameter %s is unknown here; there are %s", job.Quote(name), strings.Join(known, ", "))
		case len(given) > 1:
			p.Refuse("query parameter %s was given %d times", name, len(given))
		}
	}
	return p
}

// Refuse notes a mistake, unless one was made before.
func (p *Params) Refuse(format string, args ...any) {
	if p.Err == nil {
		p.Err = NewProblem(http.StatusBadRequest, format, args...)
	}
}

// Number reads a whole number within bounds; missing when it was not given.
func (p *Params) Number(name string, low, high, missing int64) int64 {
	text := p.Values.Get(name)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		limit := "of " + strconv.FormatInt(low, 10) + " or more"
		if high < math.MaxInt32 {
			limit = "from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
		}
		p.Refuse("%s=%s: want a whole number %s", name, job.Quote(text), limit)
		return missing
	}
	return n
}

// Truth reads true or false; 1 and 0 will do.
func (p *Params) Truth(name string, missing bool) bool {
	switch text := p.Values.Get(name); text {
	case "":
		return missing
	case "true", "1":
		return true
	case "false", "0":
		return false
	default:
		p.Refuse("%s=%s: want true or false", name, job.Quote(text))
		return missing
	}
}

// Time reads an RFC 3339 time.
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

// AttemptOf reads the run's id and the attempt from the path of an agent's call. Agents
// use whole ids: they made them.
func AttemptOf(r *http.Request) (run string, attempt int, err error) {
	run = strings.ToLower(r.PathValue("run"))
	if err := job.CheckRunID(run); err != nil {
		return "", 0, err
	}
	attempt, err = ParseAttempt(r.PathValue("attempt"))
	return run, attempt, err
}

// ParseAttempt reads the number of an attempt.
func ParseAttempt(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > job.MaxAttempt {
		return 0, NewProblem(http.StatusBadRequest, "attempt %s is not a number from 1 to %d", job.Quote(text), job.MaxAttempt)
	}
	return n, nil
}

// Filter reads step and stream.
func (p *Params) Filter() logs.Filter {
	f := logs.Filter{Step: p.Values.Get("step"), Stream: job.Stream(p.Values.Get("stream"))}
	if f.Stream != "" && f.Stream != job.Stdout && f.Stream != job.Stderr {
		p.Refuse("stream=%s: want stdout or stderr", job.Quote(string(f.Stream)))
	}
	return f
}
