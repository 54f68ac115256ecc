package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/job"
)

// Route says who is told of what. Empty fields of Match match everything.
type Route struct {
	Name          string     `json:"name"`
	URL           string     `json:"url"`
	Secret        string     `json:"secret,omitempty"` // is never in an answer
	Match         RouteMatch `json:"match"`
	Quiet         *Quiet     `json:"quiet,omitempty"`
	GroupSeconds  int64      `json:"group_seconds,omitempty"`
	RepeatSeconds int64      `json:"repeat_seconds,omitempty"`
	Enabled       bool       `json:"enabled"`
	ChangedAt     time.Time  `json:"changed_at,omitzero"`
	// Error says why the server cannot decrypt the URL and secret that it has stored: nothing is sent.
	Error string `json:"error,omitempty"`
}

// RouteMatch says which messages a route takes.
type RouteMatch struct {
	Job      string            `json:"job,omitempty"` // a glob
	Labels   map[string]string `json:"labels,omitempty"`
	Severity job.Health        `json:"severity,omitempty"`
	Events   []string          `json:"events,omitempty"`
}

// Quiet are hours in which nothing is sent: when they begin (a cron expression), how long
// they last ("9h"), and in which time zone.
type Quiet struct {
	Cron     string `json:"cron"`
	Duration string `json:"duration"`
	Zone     string `json:"zone,omitempty"`
}

// Action is a message on its way through a route, or something to be done to a run.
type Action struct {
	ID        int64      `json:"id"`
	Kind      string     `json:"kind"` // notify, cancel or retry
	Run       string     `json:"run,omitempty"`
	Attempt   int        `json:"attempt,omitempty"`
	What      string     `json:"what"`
	Severity  job.Health `json:"severity,omitempty"`
	Route     string     `json:"route,omitempty"`
	Status    string     `json:"status"` // pending, done, failed or dropped
	Tries     int        `json:"tries"`
	NextAt    *time.Time `json:"next_at"`
	LastError string     `json:"last_error,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	DoneAt    *time.Time `json:"done_at"`
	Message   string     `json:"message"`
	By        string     `json:"by,omitempty"`
	Ends      string     `json:"ends,omitempty"`
	Cause     int64      `json:"cause"`
	Repeat    int        `json:"repeat,omitempty"`
	Batch     int64      `json:"batch,omitempty"`
}

// Routes lists the routes of notifications.
func (c *Client) Routes(ctx context.Context) ([]Route, error) {
	var out struct {
		Routes []Route `json:"routes"`
	}
	err := c.get(ctx, "/api/v1/routes", &out)
	return out.Routes, err
}

// SetRoute sets a route, new or changed, and returns it as the server shows it. A URL as
// it is shown, and an empty secret, leave what was set before.
func (c *Client) SetRoute(ctx context.Context, r Route) (Route, error) {
	var out Route
	err := c.change(ctx, http.MethodPut, routePath(r.Name), r, &out)
	return out, err
}

// DeleteRoute deletes a route. What waits for it is dropped.
func (c *Client) DeleteRoute(ctx context.Context, name string) error {
	return c.change(ctx, http.MethodDelete, routePath(name), nil, nil)
}

// TestRoute sends a test message through a route. It returns why the receiver has not
// taken it; empty when it has.
func (c *Client) TestRoute(ctx context.Context, name string) (refused string, err error) {
	var out struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := c.change(ctx, http.MethodPost, routePath(name)+"/test", nil, &out); err != nil || out.OK {
		return "", err
	}
	return out.Error, nil
}

// Actions lists up to limit actions, newest first; of all runs when ref is empty.
func (c *Client) Actions(ctx context.Context, ref string, limit int) ([]Action, error) {
	path := "/api/v1/actions"
	if ref != "" {
		path = runPath(ref) + "/actions"
	}
	var out struct {
		Actions []Action `json:"actions"`
	}
	err := c.get(ctx, path+"?limit="+strconv.Itoa(limit), &out)
	return out.Actions, err
}

// Retry asks the waiting agent of a run that has ended for another attempt.
func (c *Client) Retry(ctx context.Context, ref, by, why string) (job.Run, error) {
	var r job.Run
	err := c.change(ctx, http.MethodPost, runPath(ref)+"/retry", map[string]string{"by": by, "why": why}, &r)
	return r, err
}

// Acknowledge says that somebody knows what is wrong with a run, so that nobody is notified again.
func (c *Client) Acknowledge(ctx context.Context, ref, by, why string) (job.Run, error) {
	var r job.Run
	err := c.change(ctx, http.MethodPost, runPath(ref)+"/acknowledge", map[string]string{"by": by, "why": why}, &r)
	return r, err
}

// Unacknowledge takes the acknowledgement of a run back.
func (c *Client) Unacknowledge(ctx context.Context, ref, by string) (job.Run, error) {
	var r job.Run
	err := c.change(ctx, http.MethodDelete, runPath(ref)+"/acknowledge?"+url.Values{"by": {by}}.Encode(), nil, &r)
	return r, err
}

func routePath(name string) string { return "/api/v1/routes/" + url.PathEscape(name) }

// change sends in as JSON, nothing when it is nil, and reads the answer into out.
func (c *Client) change(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode a request: %w", err)
		}
	}
	return c.do(ctx, c.calls, method, path, "application/json", body, out)
}
