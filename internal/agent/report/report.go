// Package report tells a second server about a run with two calls: its status and a
// heartbeat.
package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/job"
)

// Reporter is a server of those two calls.
type Reporter interface {
	Status(ctx context.Context, status string) error
	Heartbeat(ctx context.Context) error
}

// What a status says.
const (
	statusStarted   = "started"
	statusCompleted = "completed"
	statusFailed    = "failed"
)

const callTimeout = 5 * time.Second

// Reports sends the calls of one run to a Reporter, beside the job. Nothing that fails
// there disturbs the job; the first failure is printed in one line.
type Reports struct {
	to     Reporter
	period time.Duration
	print  func(line string)
	ended  chan struct{}

	warned   bool // a failure was printed
	started  bool // the other side took "started"
	answered bool // the other side took a call
}

// New prepares reports with a heartbeat each period.
func New(to Reporter, period time.Duration, print func(line string)) *Reports {
	return &Reports{to: to, period: period, print: print, ended: make(chan struct{})}
}

// Beat sends "started" until it was taken, and then heartbeats, until EndBeats. The end of
// ctx cuts off a call as well.
func (r *Reports) Beat(ctx context.Context) {
	ticker := time.NewTicker(r.period)
	defer ticker.Stop()
	for {
		if !r.started {
			r.started = r.call(ctx, func(ctx context.Context) error { return r.to.Status(ctx, statusStarted) }) == nil
		} else {
			_ = r.call(ctx, r.to.Heartbeat) // printed in call
		}
		select {
		case <-ticker.C:
		case <-r.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// EndBeats makes Beat return after the call that is under way. Call it once.
func (r *Reports) EndBeats() { close(r.ended) }

// Answered reports whether the other side has taken a call. Call it when Beat has returned.
func (r *Reports) Answered() bool { return r.answered }

// End sends how the run ended; call it when Beat has returned. It tries until ctx ends.
func (r *Reports) End(ctx context.Context, o job.Outcome) {
	status := statusFailed
	if o.State == job.Succeeded {
		status = statusCompleted
	}
	if !r.started {
		_ = r.call(ctx, func(ctx context.Context) error { return r.to.Status(ctx, statusStarted) })
	}
	b := delivery.NewBackOff()
	for {
		err := r.call(ctx, func(ctx context.Context) error { return r.to.Status(ctx, status) })
		var p *job.Problem
		if err == nil || errors.As(err, &p) && !p.Temporary() {
			return
		}
		timer := time.NewTimer(b.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (r *Reports) call(ctx context.Context, f func(context.Context) error) error {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := f(callCtx)
	r.answered = r.answered || err == nil
	if err != nil && ctx.Err() == nil && !r.warned {
		r.warned = true
		r.print("reporting: " + err.Error() + "; the job goes on")
	}
	return err
}

type httpReporter struct {
	base   string
	shown  string // base without a password
	client *http.Client
}

// NewReporter makes the two calls to a URL: PUT URL/status, PUT URL/heartbeat.
func NewReporter(raw string) (Reporter, error) {
	shown := raw
	if at := strings.LastIndex(raw, "@"); at >= 0 { // no message shows a password
		shown = "…" + raw[at:]
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "cannot be read"}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "does not begin with http:// or https://"}
	case u.Host == "":
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "has no host"}
	case u.RawQuery != "" || u.Fragment != "":
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "has a query or a fragment, and /status must be added to it"}
	}
	return &httpReporter{
		shown:  u.Redacted(),
		base:   strings.TrimRight(raw, "/"),
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second}},
	}, nil
}

func (h *httpReporter) Status(ctx context.Context, status string) error {
	body, err := json.Marshal(map[string]string{"status": status})
	if err != nil {
		return err
	}
	return h.put(ctx, "/status", body)
}

func (h *httpReporter) Heartbeat(ctx context.Context) error { return h.put(ctx, "/heartbeat", nil) }

// Close gives back the idle connection.
func (h *httpReporter) Close() { h.client.CloseIdleConnections() }

func (h *httpReporter) put(ctx context.Context, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, h.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("report to %s: %w", h.shown, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("report to %s: %w", h.shown, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode >= 300 {
		return fmt.Errorf("report to %s: %w", h.shown, &job.Problem{
			Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode),
			Detail: "PUT " + h.shown + path + " was refused",
		})
	}
	return nil
}
