package client

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"stint.dev/stint/client/internal/reply"
	"stint.dev/stint/job"
)

const (
	// maxAnswer bounds how much of a JSON answer is read into memory.
	maxAnswer = 64 << 20
	// maxProblem is the same for an error, and maxReply for the reply to an append or a
	// heartbeat: something that answers in place of the server must cost the job's host nothing.
	maxProblem = 1 << 20
	maxReply   = 64 << 10
)

// readAppendReply reads the reply to an append for a run and attempt.
func (c *Client) readAppendReply(resp *http.Response, run string, attempt int) (job.AppendReply, error) {
	var r struct {
		reply.Identity
		Size    *int64 `json:"size"`
		Watched bool   `json:"watched"`
		Number  int64  `json:"number"`
		Notice  string `json:"notice"`
	}
	if err := c.readReply(resp, &r, func() string {
		switch {
		case r.Size == nil:
			return "size"
		case *r.Size < 0:
			return "valid size"
		}
		return r.Missing(run, attempt)
	}); err != nil {
		return job.AppendReply{}, err
	}
	if err := c.answered(resp, r.Server, true); err != nil {
		return job.AppendReply{}, err
	}
	return job.AppendReply{Run: run, Attempt: attempt, Server: r.Server, Size: *r.Size, Watched: r.Watched, Number: max(0, r.Number), Notice: r.Notice}, nil
}

// readHeartbeatReply reads the reply to a heartbeat for a run and attempt.
func (c *Client) readHeartbeatReply(resp *http.Response, run string, attempt int) (job.HeartbeatReply, error) {
	var r struct {
		reply.Identity
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
		return r.Missing(run, attempt)
	}); err != nil {
		return job.HeartbeatReply{}, err
	}
	if err := c.answered(resp, r.Server, false); err != nil {
		return job.HeartbeatReply{}, err
	}
	return job.HeartbeatReply{
		Run: run, Attempt: attempt, Server: r.Server,
		LeaseMS: *r.LeaseMS, NextMS: *r.NextMS, Owner: *r.Owner, Watched: r.Watched, Commands: r.Commands,
	}, nil
}

// answered notes that a server answered, of an installation; empty for one that was not named. has says that it has what was sent
// to the installation before. The error is one of a reply that must not count, because it is of another installation.
func (c *Client) answered(resp *http.Response, installation string, has bool) error {
	if err := c.servers.Learn(resp, installation, has); err != nil {
		return err
	}
	c.servers.Answered(resp)
	return nil
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
	case !reply.IsJSON(resp):
		why = "is not JSON"
	case reply.Unmarshal(body, v) != nil:
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
	if reply.IsJSON(resp) && reply.Unmarshal(body, &p) == nil && reply.FromServer(resp, &p) {
		if err := c.answered(resp, p.Server, false); err != nil {
			return err
		}
		p.RetryAfter = reply.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
		return &p
	}
	return c.foreign(resp, body, "")
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReply)) // best effort: only reuse is at stake
	}
	_ = resp.Body.Close()
}
