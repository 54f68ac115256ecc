// Package reply distinguishes a reply of a Stint server from one of anything else.
package reply

import (
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// maxRetryAfter is the longest pause that a reply may ask for.
const maxRetryAfter = time.Minute

// Identity is what every reply to an agent repeats of its request.
type Identity struct {
	Run     *string `json:"run"`
	Attempt *int    `json:"attempt"`
	Server  string  `json:"server"`
}

// Missing names what a reply to a request for a run and attempt lacks; empty for nothing.
func (i Identity) Missing(run string, attempt int) string {
	switch {
	case i.Run == nil:
		return "run"
	case !strings.EqualFold(*i.Run, run): // the server writes ids in lower case
		return "run of the request"
	case i.Attempt == nil:
		return "attempt"
	case *i.Attempt != attempt:
		return "attempt of the request"
	}
	return ""
}

// Unmarshal reads a JSON object into v and takes only keys that are written as the server
// writes them: json.Unmarshal takes "OWNER" for "owner", and the last of both.
func Unmarshal(body []byte, v any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return err
	}
	maps.DeleteFunc(fields, func(key string, _ json.RawMessage) bool {
		return strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") != ""
	})
	exact, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return json.Unmarshal(exact, v)
}

// FromServer reports whether a problem is one that a Stint server sends with this status.
func FromServer(resp *http.Response, p *job.Problem) bool {
	if !p.FromStint() || p.Status != resp.StatusCode || p.Status < 400 {
		return false
	}
	return p.Type != job.ProblemWrongOffset || p.Size != nil && *p.Size >= 0
}

// IsJSON reports whether the body is JSON, according to its headers.
func IsJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || kind == "application/problem+json")
}

// RetryAfter parses the header Retry-After: seconds or a date. An invalid value counts as absent.
func RetryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64) // a value out of range is the limit of the range
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
