// Package report reports a run to a second server: its status and heartbeats to one of two calls (report.go),
// or its start and exit code to one that speaks as Healthchecks does (healthchecks.go).
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
	"sync/atomic"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/job"
)

// Reporter is such a server.
type Reporter interface {
	// Status reports a status; o is how the run ended, or nil for "started".
	Status(ctx context.Context, status string, o *job.Outcome) error
	Heartbeat(ctx context.Context) error
}

// The statuses of a run.
const (
	statusStarted   = "started"
	statusCompleted = "completed"
	statusFailed    = "failed"
)

const (
	// callTimeout bounds one call.
	callTimeout = 5 * time.Second
	// maxRefusals is how many times in a row the last status is refused before it is given
	// up: one refusal may come from something between the two.
	maxRefusals = 3
)

// Config says where to report a run.
type Config struct {
	To     Reporter
	Period time.Duration // of heartbeats
	// Hung is where it is noted that the server does not answer; nil for nowhere.
	Hung *delivery.HungServers
	// Print prints one line for people.
	Print func(line string)
}

// Reports sends the calls of one run to a Reporter, beside the job. Nothing that fails there
// disturbs the job; the first failure is printed in one line.
type Reports struct {
	cfg    Config
	ended  context.CancelFunc
	live   context.Context // until the run has ended
	cancel context.CancelFunc
	done   chan struct{} // closed when beat has returned

	answered atomic.Bool // the server took a call
	// For beat, and for Finish when it has returned.
	warned  bool // a failure was printed
	started bool // the server took "started", or may have
}

// Start begins to send "started" until it is taken, and then heartbeats, until Finish.
func Start(ctx context.Context, c Config) *Reports {
	r := &Reports{cfg: c, done: make(chan struct{})}
	ctx, r.cancel = context.WithCancel(ctx)
	r.live, r.ended = context.WithCancel(ctx)
	go func() {
		defer close(r.done)
		r.beat(ctx)
	}()
	return r
}

// beat runs until the run has ended. That cuts off a heartbeat; only the end of ctx cuts off
// a "started", because it would not be known whether that was taken.
func (r *Reports) beat(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Period)
	defer ticker.Stop()
	for r.live.Err() == nil {
		if r.started {
			_ = r.call(r.live, r.cfg.To.Heartbeat) // printed in call
		} else {
			r.started = r.call(ctx, r.status(statusStarted, nil)) == nil || ctx.Err() != nil
		}
		select {
		case <-ticker.C:
		case <-r.live.Done():
			return
		}
	}
}

// Finish sends how the run ended, and ends the reports. It tries for as long as flush, and
// once in any case. A server that has not answered once is not waited for longer than
// delivery waits for such a one.
func (r *Reports) Finish(ctx context.Context, o job.Outcome, flush time.Duration) {
	defer r.cancel()
	r.ended()
	begun, once := time.Now(), callTimeout
	if !r.answered.Load() {
		once = r.cfg.Hung.SilentLimit(begun)
	}
	r.awaitBeat(ctx, once*3/4)
	if !r.answered.Load() {
		flush = min(flush, once)
	} else {
		once = callTimeout
	}
	ctx, cancel := context.WithDeadline(ctx, begun.Add(max(flush, once)))
	defer cancel()
	if !r.started {
		_ = r.call(ctx, r.status(statusStarted, nil))
	}
	status := statusFailed
	if o.State == job.Succeeded {
		status = statusCompleted
	}
	err := r.sendLast(ctx, status, o, begun.Add(flush))
	if err != nil {
		r.warn(err)
	}
	if errors.Is(err, context.DeadlineExceeded) && !r.answered.Load() {
		r.cfg.Hung.Note(time.Now())
	}
}

// awaitBeat waits for the call that is under way, and cuts it off after a limit.
func (r *Reports) awaitBeat(ctx context.Context, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	r.cancel()
	<-r.done
}

// sendLast sends the last status, again after a failure if until has not come.
func (r *Reports) sendLast(ctx context.Context, status string, o job.Outcome, until time.Time) error {
	b := delivery.NewBackOff()
	for refusals := 0; ; {
		err := r.call(ctx, r.status(status, &o))
		var p *job.Problem
		if refusals++; err == nil || !errors.As(err, &p) || p.Temporary() {
			refusals = 0
		}
		pause := b.NextBackOff()
		if err == nil || refusals == maxRefusals || time.Now().Add(pause).After(until) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (r *Reports) status(s string, o *job.Outcome) func(context.Context) error {
	return func(ctx context.Context) error { return r.cfg.To.Status(ctx, s, o) }
}

// call makes one call. An error that it returns while ctx lives is the server's.
func (r *Reports) call(ctx context.Context, f func(context.Context) error) error {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := f(callCtx)
	if err == nil {
		r.answered.Store(true)
	}
	if err != nil && ctx.Err() == nil {
		r.warn(err)
	}
	return err
}

// warn prints the first failure.
func (r *Reports) warn(err error) {
	if !r.warned {
		r.warned = true
		r.cfg.Print(err.Error() + "; the job is not affected")
	}
}

type httpReporter struct {
	base   string
	shown  string // base without a password
	client *http.Client
}

// NewReporter returns the server at a URL: one of PUT URL/status and PUT URL/heartbeat, or with hc+ in front
// one that speaks as Healthchecks does. run is the id of the run.
func NewReporter(raw, run string) (Reporter, error) {
	address, checks := strings.CutPrefix(raw, "hc+")
	shown := address
	if at := strings.LastIndex(address, "@"); at >= 0 { // no message shows a password
		shown = "…" + address[at:]
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "cannot be read"}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "does not begin with http:// or https://"}
	case u.Host == "":
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "has no host"}
	case u.RawQuery != "" || u.Fragment != "":
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "has a query or a fragment, and a path must be added to it"}
	}
	h := &httpReporter{
		shown:  u.Redacted(),
		base:   strings.TrimRight(address, "/"),
		client: &http.Client{CheckRedirect: client.FollowRedirect, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second}},
	}
	if !checks {
		return h, nil
	}
	if u.Path == "" || u.Path == "/" {
		return nil, &job.InvalidError{What: "URL", Value: shown, Why: "has no path: give the whole URL of the check"}
	}
	h.shown = u.Scheme + "://" + u.Host + "/…" // the path is a secret
	return &healthchecks{httpReporter: h, run: run}, nil
}

// Status implements Reporter.
func (h *httpReporter) Status(ctx context.Context, status string, _ *job.Outcome) error {
	body, err := json.Marshal(map[string]string{"status": status})
	if err != nil {
		return err
	}
	_, err = h.send(ctx, http.MethodPut, "/status", "application/json", body)
	return err
}

// Heartbeat implements Reporter.
func (h *httpReporter) Heartbeat(ctx context.Context) error {
	_, err := h.send(ctx, http.MethodPut, "/heartbeat", "", nil)
	return err
}

// Close closes the idle connection.
func (h *httpReporter) Close() { h.client.CloseIdleConnections() }

// send makes one call, and returns the header of its answer; nil without one.
func (h *httpReporter) send(ctx context.Context, method, path, contentType string, body []byte) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("report to %s: %w", h.shown, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		if doubled := (*url.Error)(nil); errors.As(err, &doubled) {
			err = doubled.Err // without the URL once more
		}
		return nil, fmt.Errorf("report to %s: %w", h.shown, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode >= 300 {
		detail := method + " " + path + " was refused"
		if to, err := resp.Location(); err == nil {
			detail = fmt.Sprintf("%s %s was answered with a redirect to %s, which is not followed: give that address", method, path, to.Redacted())
		}
		return nil, fmt.Errorf("report to %s: %w", h.shown, &job.Problem{
			Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), Detail: detail,
		})
	}
	return resp.Header, nil
}
