package server

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

// params reads the query parameters of a plain handler. The first mistake is kept in err;
// parameters that the route does not know are a mistake too, so that a misspelt filter
// does not silently answer with everything.
type params struct {
	values url.Values
	err    error
}

// maxNumber is the largest number that JSON and JavaScript carry exactly.
const maxNumber = 1 << 53

func newParams(r *http.Request, known ...string) *params {
	p := &params{}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.refuse("the query string cannot be read: escape special characters")
	}
	p.values = values
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			p.refuse("query parameter %s is unknown here; there are %s", job.Quote(name), strings.Join(known, ", "))
		case len(given) > 1:
			p.refuse("query parameter %s was given %d times", name, len(given))
		}
	}
	return p
}

func (p *params) refuse(format string, args ...any) {
	if p.err == nil {
		p.err = newProblem(http.StatusBadRequest, format, args...)
	}
}

// number reads a whole number within bounds; missing when it was not given.
func (p *params) number(name string, low, high, missing int64) int64 {
	text := p.values.Get(name)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		limit := "of " + strconv.FormatInt(low, 10) + " or more"
		if high < math.MaxInt32 {
			limit = "from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
		}
		p.refuse("%s=%s: want a whole number %s", name, job.Quote(text), limit)
		return missing
	}
	return n
}

// truth reads true or false; 1 and 0 will do.
func (p *params) truth(name string, missing bool) bool {
	switch text := p.values.Get(name); text {
	case "":
		return missing
	case "true", "1":
		return true
	case "false", "0":
		return false
	default:
		p.refuse("%s=%s: want true or false", name, job.Quote(text))
		return missing
	}
}

// time reads an RFC 3339 time.
func (p *params) time(name string) time.Time {
	text := p.values.Get(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		p.refuse("%s=%s: want a time such as 2006-01-02T15:04:05Z", name, job.Quote(text))
	}
	return at
}

// filter reads step and stream.
func (p *params) filter() logs.Filter {
	f := logs.Filter{Step: p.values.Get("step"), Stream: job.Stream(p.values.Get("stream"))}
	if f.Stream != "" && f.Stream != job.Stdout && f.Stream != job.Stderr {
		p.refuse("stream=%s: want stdout or stderr", job.Quote(string(f.Stream)))
	}
	return f
}
