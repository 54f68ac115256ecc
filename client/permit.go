package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"stint.dev/stint/client/internal/reply"
	"stint.dev/stint/client/internal/transport"
	"stint.dev/stint/job"
)

// PermitRequest asks for the permit to start an attempt of a submitted run. Asking again with
// the same incarnation is harmless.
type PermitRequest struct {
	Run     string
	Attempt int
	// Claim is the token of the claim, Incarnation the process that asks.
	Claim, Incarnation string
	// Journal is the journal from its beginning up to its whole identity record.
	Journal []byte
}

// PermitReply is the answer: job.PermitGranted or job.PermitRefused, and how much of the journal
// the server has then.
type PermitReply struct {
	job.Permit
	Size int64
}

// WithToken returns a client of the same server that sends another token, over the same
// connections; an empty one is none.
func (c *Client) WithToken(token string) *Client {
	return &Client{
		servers: c.servers, token: transport.NewToken(token, nil, nil), agent: c.agent, run: c.run, holding: c.holding, turn: c.turn,
	}
}

// AskPermit makes the first append of a submitted run's attempt, on the connection of its
// heartbeats. The error is nil only for a reply that grants or refuses: it may have the status
// 200, or 409 where the server has the bytes already. A reply without a permit is none, whatever
// else it says.
func (c *Client) AskPermit(ctx context.Context, r PermitRequest) (PermitReply, error) {
	req, err := c.request(ctx, http.MethodPost, appendPath(r.Run, r.Attempt, 0, 0), bytes.NewReader(r.Journal))
	if err != nil {
		return PermitReply{}, err
	}
	req.Header.Set(job.HeaderClaim, r.Claim)
	req.Header.Set(job.HeaderIncarnation, r.Incarnation)
	req.Header.Set(job.HeaderClock, transport.ClockText())
	held := c.takeTurn(ctx)
	if held {
		defer c.giveTurn()
	}
	resp, err := c.ask(held, req, "application/octet-stream")
	if err != nil {
		return PermitReply{}, err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusConflict {
		return c.readPermitConflict(resp)
	}
	return c.readPermit(resp, r)
}

// permitFields are the part of a reply that is about the permit.
type permitFields struct {
	Size *int64 `json:"size"`
	job.Permit
}

// answer returns what the fields say, and whether they are an answer.
func (f permitFields) answer() (PermitReply, bool) {
	if f.Answer != job.PermitGranted && f.Answer != job.PermitRefused {
		return PermitReply{}, false
	}
	r := PermitReply{Permit: f.Permit}
	if f.Size != nil {
		r.Size = max(0, *f.Size)
	}
	return r, true
}

// readPermit reads a reply that is no conflict.
func (c *Client) readPermit(resp *http.Response, of PermitRequest) (PermitReply, error) {
	var r struct {
		reply.Identity
		permitFields
	}
	err := c.readReply(resp, &r, func() string {
		if _, answered := r.answer(); !answered {
			return "permit"
		}
		return r.Missing(of.Run, of.Attempt)
	})
	if err != nil {
		return PermitReply{}, err
	}
	answer, _ := r.answer()
	return answer, c.answered(resp, r.Server, true)
}

// readPermitConflict reads a reply of the status 409: with a permit it is an answer, else an error
// as for any other append.
func (c *Client) readPermitConflict(resp *http.Response) (PermitReply, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return PermitReply{}, c.transportError(fmt.Errorf("read the reply: %w", err))
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), resp.Body}
	err = c.readError(resp, maxReply)
	var p *job.Problem
	var fields permitFields
	if errors.As(err, &p) && reply.Unmarshal(body, &fields) == nil {
		if answer, answered := fields.answer(); answered {
			return answer, nil
		}
	}
	return PermitReply{}, err
}
