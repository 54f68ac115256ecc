package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"stint.dev/stint/client/internal/events"
	"stint.dev/stint/client/internal/resume"
	"stint.dev/stint/job"
)

const (
	// silence is how long a live stream may send nothing (the server sends a comment every
	// 15 s) before the connection counts as dead.
	silence = 45 * time.Second
	// slowHandle is how long an event may take before a break after it counts as caused by the handler.
	slowHandle = 10 * time.Second
)

// StreamEvent is one server-sent event, whose data is JSON.
type StreamEvent = events.Event

// NewEventReader returns a reader of server-sent events, as the HTML standard defines them.
func NewEventReader(r io.Reader) *events.Reader { return events.NewReader(r) }

// Follow calls handle for each event of a run's live stream, from the beginning or the
// last tail lines, until handle returns an error, the server sends the event "end", or ctx
// is done. A connection that breaks is made again and goes on after the last event handled,
// so that nothing is lost or doubled, however long handle takes; onWait (may be nil) is called
// once per break that handle did not cause. The errors of handle and permanent answers of the server come back; nil means end.
// So does an answer that is not a server's, before there has been any event.
func (c *Client) Follow(ctx context.Context, ref string, q LogQuery, handle func(StreamEvent) error, onWait func(error)) error {
	lastID := ""
	pause := resume.FirstPause
	for {
		slow := false // handle took so long that the server may have given the connection up
		got, err := c.followOnce(ctx, ref, q, &lastID, func(ev StreamEvent) error {
			begun := time.Now()
			defer func() { slow = slow || time.Since(begun) > slowHandle }()
			return handle(ev)
		})
		var stop *resume.StopError
		var problem *job.Problem
		var foreign *ForeignReplyError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &stop):
			return stop.Err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &problem) && !problem.Temporary():
			return err
		case errors.As(err, &foreign) && lastID == "" && !canResume(err):
			return err // nothing shows that there is a server
		}
		if got {
			pause = resume.FirstPause
		}
		if onWait != nil && !slow {
			onWait(err)
		}
		wait := pause
		if problem != nil && problem.RetryAfter > wait {
			wait = problem.RetryAfter
		}
		if foreign != nil && foreign.RetryAfter > wait {
			wait = foreign.RetryAfter
		}
		if !resume.Sleep(ctx, wait) {
			return ctx.Err()
		}
		pause = min(pause*2, resume.LastPause)
	}
}

// followOnce holds one connection. It reports whether any event came.
func (c *Client) followOnce(ctx context.Context, ref string, q LogQuery, lastID *string, handle func(StreamEvent) error) (got bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := c.request(ctx, http.MethodGet, runPath(ref)+"/stream?"+q.Values().Encode(), nil)
	if err != nil {
		return false, &resume.StopError{Err: err}
	}
	req.Header.Set("Accept", "text/event-stream")
	if *lastID != "" {
		req.Header.Set("Last-Event-ID", *lastID)
	}
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	resp, err := c.servers.Do(req, false)
	if err != nil {
		return false, c.transportError(err)
	}
	defer func() { _ = resp.Body.Close() }() // it never ends by itself
	if err := c.check(resp); err != nil {
		return false, err
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return false, c.foreign(resp, nil, "is not a live stream")
	}
	c.servers.Answered(resp)
	from := events.NewReader(events.Observe(resp.Body, func() { watchdog.Reset(silence) }))
	for {
		ev, err := from.Next()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return got, fmt.Errorf("live stream of %s: %w", c.URL(), err)
		}
		got = true
		watchdog.Stop() // the time that handle takes is not the server's
		if err := handle(ev); err != nil {
			return true, &resume.StopError{Err: err}
		}
		watchdog.Reset(silence)
		if ev.ID != "" {
			*lastID = ev.ID
		}
		if ev.Type == "end" {
			return true, nil
		}
	}
}

var errSilent = errors.New("the server has sent nothing for too long")
