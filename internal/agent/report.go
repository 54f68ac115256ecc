package agent

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

	"stint.dev/stint/job"
)

// Reporter tells somebody else about the run in the wire of two calls.
type Reporter interface {
	Status(ctx context.Context, status string) error
	Heartbeat(ctx context.Context) error
}

// The words of that wire.
const (
	statusStarted   = "started"
	statusCompleted = "completed"
	statusFailed    = "failed"
)

const reportTimeout = 5 * time.Second

// reporting speaks to a Reporter beside the job. Nothing it meets disturbs the job; the
// first trouble is told in one line.
type reporting struct {
	to     Reporter
	period time.Duration
	say    func(string)
	said   bool
	told   bool // that the run has started
	heard  bool // the other side has taken a call
	over   chan struct{}
}

// beats says "started" until it was heard, and then beats, until the run is over. The end
// of ctx cuts off a call as well.
func (r *reporting) beats(ctx context.Context) {
	ticker := time.NewTicker(r.period)
	defer ticker.Stop()
	for {
		if !r.told {
			r.told = r.call(ctx, func(ctx context.Context) error { return r.to.Status(ctx, statusStarted) }) == nil
		} else {
			_ = r.call(ctx, r.to.Heartbeat) // told in call
		}
		select {
		case <-ticker.C:
		case <-r.over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// end tells how it ended; call it when beats has returned. It tries until ctx ends.
func (r *reporting) end(ctx context.Context, o job.Outcome) {
	status := statusFailed
	if o.State == job.Succeeded {
		status = statusCompleted
	}
	if !r.told {
		_ = r.call(ctx, func(ctx context.Context) error { return r.to.Status(ctx, statusStarted) })
	}
	b := newBackOff()
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

func (r *reporting) call(ctx context.Context, f func(context.Context) error) error {
	callCtx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	err := f(callCtx)
	r.heard = r.heard || err == nil
	if err != nil && ctx.Err() == nil && !r.said {
		r.said = true
		r.say("reporting: " + err.Error() + "; the job goes on")
	}
	return err
}

type httpReporter struct {
	base   string
	shown  string // base without a password
	client *http.Client
}

// NewReporter speaks the wire of two calls to a URL: PUT URL/status, PUT URL/heartbeat.
func NewReporter(raw string) (Reporter, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, &job.InvalidError{What: "URL", Value: raw, Why: "cannot be read"}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &job.InvalidError{What: "URL", Value: raw, Why: "does not begin with http:// or https://"}
	case u.Host == "":
		return nil, &job.InvalidError{What: "URL", Value: raw, Why: "has no host"}
	case u.RawQuery != "" || u.Fragment != "":
		return nil, &job.InvalidError{What: "URL", Value: raw, Why: "has a query or a fragment, and /status must be added to it"}
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
