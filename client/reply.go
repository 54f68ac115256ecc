package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/job"
)

const (
	// maxAnswer bounds how much of a JSON answer is read into memory.
	maxAnswer = 64 << 20
	// maxProblem is the same for an error, and maxReply for the reply to an append or a
	// heartbeat: something that answers in place of the server must cost the job's host nothing.
	maxProblem = 1 << 20
	maxReply   = 64 << 10
	// maxRetryAfter is the longest pause that an answer may ask for.
	maxRetryAfter = time.Minute
)

// readAppendReply reads the reply to an append for a run and attempt.
func (c *Client) readAppendReply(resp *http.Response, run string, attempt int) (job.AppendReply, error) {
	var r struct {
		identity
		Size    *int64 `json:"size"`
		Watched bool   `json:"watched"`
	}
	if err := c.readReply(resp, &r, func() string {
		switch {
		case r.Size == nil:
			return "size"
		case *r.Size < 0:
			return "valid size"
		}
		return r.missing(run, attempt)
	}); err != nil {
		return job.AppendReply{}, err
	}
	return job.AppendReply{Run: run, Attempt: attempt, Server: r.Server, Size: *r.Size, Watched: r.Watched}, nil
}

// readHeartbeatReply reads the reply to a heartbeat for a run and attempt.
func (c *Client) readHeartbeatReply(resp *http.Response, run string, attempt int) (job.HeartbeatReply, error) {
	var r struct {
		identity
		LeaseMS  *int64        `json:"lease_ms"`
		NextMS   *int64        `json:"next_ms"`
		Owner    *bool         `json:"owner"`
		Watched  bool          `json:"watched"`
		Commands []job.Command `json:"commands"`
	}
	if err := c.readReply(resp, &r, func() string {
		switch {
		case r.LeaseMS == nil:
			return "lease_ms"
		case r.NextMS == nil:
			return "next_ms"
		case r.Owner == nil:
			return "owner"
		}
		return r.missing(run, attempt)
	}); err != nil {
		return job.HeartbeatReply{}, err
	}
	return job.HeartbeatReply{
		Run: run, Attempt: attempt, Server: r.Server,
		LeaseMS: *r.LeaseMS, NextMS: *r.NextMS, Owner: *r.Owner, Watched: r.Watched, Commands: r.Commands,
	}, nil
}

// identity is what every reply to an agent repeats of its request.
type identity struct {
	Run     *string `json:"run"`
	Attempt *int    `json:"attempt"`
	Server  string  `json:"server"`
}

// missing names what a reply to a request for a run and attempt lacks; empty for nothing.
func (i identity) missing(run string, attempt int) string {
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

// readReply reads a small JSON reply into v. It returns a *job.Problem that the server sent,
// or *ForeignReplyError for everything that is not a whole reply of a Stint server; missing
// names what v lacks. An absent field never counts as no.
func (c *Client) readReply(resp *http.Response, v any, missing func() string) error {
	if resp.StatusCode != http.StatusOK {
		return c.readError(resp, maxReply)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return c.transportError(fmt.Errorf("read the reply: %w", err))
	}
	why := ""
	switch {
	case len(body) > maxReply:
		why = fmt.Sprintf("has more than %s", job.Bytes(maxReply))
	case !isJSON(resp):
		why = "is not JSON"
	case unmarshalExact(body, v) != nil:
		why = "is not the JSON of a reply"
	default:
		if field := missing(); field != "" {
			why = "has no " + field
		}
	}
	if why == "" {
		return nil
	}
	return c.foreign(resp, body, why)
}

// unmarshalExact reads a JSON object into v and takes only keys that are written as the server
// writes them: json.Unmarshal takes "OWNER" for "owner", and the last of both.
func unmarshalExact(body []byte, v any) error {
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

// check turns an answer that is not a success into an error.
func (c *Client) check(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return c.readError(resp, maxProblem)
}

// readError reads an answer that is not a success: *job.Problem if a Stint server sent it,
// else *ForeignReplyError.
func (c *Client) readError(resp *http.Response, most int64) error {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return c.foreign(resp, nil, "changes the protocol") // its body is the bare connection
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		body = nil // the status is enough
	}
	var p job.Problem
	if isJSON(resp) && unmarshalExact(body, &p) == nil && fromServer(resp, &p) {
		p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		return &p
	}
	return c.foreign(resp, body, "")
}

// fromServer reports whether a problem is one that a Stint server sends with this status.
func fromServer(resp *http.Response, p *job.Problem) bool {
	if !p.FromStint() || p.Status != resp.StatusCode || p.Status < 400 {
		return false
	}
	return p.Type != job.ProblemWrongOffset || p.Size != nil && *p.Size >= 0
}

func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || kind == "application/problem+json")
}

// retryAfter parses the header: seconds or a date. An invalid value counts as absent.
func retryAfter(v string, now time.Time) time.Duration {
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

// drain lets the connection be used again.
func drain(resp *http.Response) {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReply)) // best effort: only reuse is at stake
	}
	_ = resp.Body.Close()
}
