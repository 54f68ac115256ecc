package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"stint.dev/stint/client/internal/resume"
	"stint.dev/stint/job"
)

// Log copies the exact bytes of a log, or the selected lines of it, to w. With asLines it
// copies NDJSON instead: one object a line, with time, stream and number.
//
// w may be slow: a reply that the server has cut off meanwhile, or that was interrupted by a
// restart of the server, is requested again from the last byte that w took. It is an error if
// the bytes before that have changed.
func (c *Client) Log(ctx context.Context, w io.Writer, ref string, q LogQuery, asLines bool) error {
	l := resume.NewLog(source{c}, w, ref, q.Values(), asLines)
	err := retryUnavailable(ctx, func() error { return l.Read(ctx) })
	err = resume.Do(ctx, err, canResume, func() (bool, error) {
		before := l.Written()
		err := l.Read(ctx)
		return l.Written() > before, err
	})
	if err != nil && l.Began() && canResume(err) {
		return fmt.Errorf("the log of %s broke off: %w", ref, err)
	}
	return resume.CallersError(err)
}

// source is the server for package resume.
type source struct{ c *Client }

func (s source) Get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := s.c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, &resume.StopError{Err: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := s.c.servers.Do(req, false)
	if err != nil {
		return nil, s.c.transportError(err)
	}
	if err := s.c.check(resp); err != nil {
		drain(resp)
		return nil, err
	}
	return resp, s.c.answered(resp, "", false)
}

func (s source) Foreign(resp *http.Response, why string) error { return s.c.foreign(resp, nil, why) }
func (s source) Broken(err error) error                        { return s.c.transportError(err) }

// canResume reports whether the rest of an interrupted reply may arrive later.
func canResume(err error) bool {
	var stop *resume.StopError
	var p *job.Problem
	var foreign *ForeignReplyError
	var away *UnreachableError
	switch {
	case err == nil, errors.As(err, &stop):
		return false
	case errors.As(err, &p):
		return p.Temporary()
	case errors.As(err, &foreign):
		return foreign.Status >= 500 || foreign.RetryAfter > 0
	}
	return errors.As(err, &away)
}
