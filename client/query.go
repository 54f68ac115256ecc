package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// RunsQuery filters a list of runs. Zero fields do not filter.
type RunsQuery struct {
	Job    string
	State  []string
	Health []string
	Labels []string // KEY=VALUE
	Text   string
	Host   string
	Since  time.Time // started then or later
	Until  time.Time // started before
	Limit  int
	Cursor string
}

// RunsPage is one page of runs, newest first.
type RunsPage struct {
	Runs       []job.Run `json:"runs"`
	NextCursor *string   `json:"next_cursor"`
}

// Runs lists runs.
func (c *Client) Runs(ctx context.Context, q RunsQuery) (RunsPage, error) {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Add(key, value)
		}
	}
	set("job", q.Job)
	set("q", q.Text)
	set("host", q.Host)
	set("cursor", q.Cursor)
	for _, s := range q.State {
		set("state", s)
	}
	for _, h := range q.Health {
		set("health", h)
	}
	for _, l := range q.Labels {
		set("label", l)
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	var page RunsPage
	err := c.Get(ctx, "/api/v1/runs?"+v.Encode(), &page)
	return page, err
}

// Run returns one run by id, prefix of an id, or job#number.
func (c *Client) Run(ctx context.Context, ref string) (job.Run, error) {
	var r job.Run
	err := c.Get(ctx, runPath(ref), &r)
	return r, err
}

// Samples returns a run's samples, thinned to about points by keeping each stretch's
// smallest and largest.
func (c *Client) Samples(ctx context.Context, ref string, points int) ([]job.Sample, error) {
	var out struct {
		Samples []job.Sample `json:"samples"`
	}
	err := c.Get(ctx, fmt.Sprintf("%s/samples?points=%d", runPath(ref), points), &out)
	return out.Samples, err
}

// Events returns a run's changes of state and health, oldest first.
func (c *Client) Events(ctx context.Context, ref string) ([]job.RunEvent, error) {
	var out struct {
		Events []job.RunEvent `json:"events"`
	}
	err := c.Get(ctx, runPath(ref)+"/events", &out)
	return out.Events, err
}

// Cancel asks for a run to be stopped and returns it.
func (c *Client) Cancel(ctx context.Context, ref, by, why string) (job.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"by": by, "why": why})
	if err != nil {
		return job.Run{}, fmt.Errorf("encode cancel request: %w", err)
	}
	var r job.Run
	err = c.do(ctx, http.MethodPost, runPath(ref)+"/cancel", "application/json", body, &r)
	return r, err
}

// LogQuery chooses a part of a log. The zero value is all of it.
type LogQuery struct {
	Attempt  int
	Step     string
	Stream   string
	Tail     int // only the last lines, when > 0
	FromLine int64
	Lines    int
	FromTime time.Time // only lines printed then or later, unless zero
	ToTime   time.Time // and up to then
	NoOutput bool      // of a live stream: changes of the run only
}

// Values are the query parameters of q.
func (q LogQuery) Values() url.Values {
	v := url.Values{}
	num := func(key string, n int64) {
		if n > 0 {
			v.Set(key, strconv.FormatInt(n, 10))
		}
	}
	num("attempt", int64(q.Attempt))
	num("tail", int64(q.Tail))
	num("from_line", q.FromLine)
	num("lines", int64(q.Lines))
	if q.Step != "" {
		v.Set("step", q.Step)
	}
	if q.Stream != "" {
		v.Set("stream", q.Stream)
	}
	if q.NoOutput {
		v.Set("output", "false")
	}
	for name, at := range map[string]time.Time{"from_time": q.FromTime, "to_time": q.ToTime} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return v
}

// Overview returns the first page of what needs attention, of what is active and of the last day of
// each job.
func (c *Client) Overview(ctx context.Context) (api.Overview, error) {
	var out api.Overview
	err := c.Get(ctx, "/api/v1/overview", &out)
	return out, err
}

// Ready asks whether the server can do its work; without an error it can.
func (c *Client) Ready(ctx context.Context) (status api.ServerStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = c.do(ctx, http.MethodGet, "/readyz", "", nil, &status)
	return status, err
}

// About is what a server says of itself.
type About struct {
	Version string
	// Date is the server's clock in its answer, to a second; zero if it sent none.
	Date string
}

// About asks for the server's version and clock.
func (c *Client) About(ctx context.Context) (About, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodGet, "/api/openapi.json", nil)
	if err != nil {
		return About{}, err
	}
	resp, err := c.servers.Do(req, false)
	if err != nil {
		return About{}, c.transportError(err)
	}
	defer drain(resp)
	if err := c.check(resp); err != nil {
		return About{}, err
	}
	var doc struct {
		Info struct{ Title, Version string } `json:"info"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&doc); err != nil || doc.Info.Version == "" {
		return About{}, c.foreign(resp, nil, "is not the description of a server")
	}
	c.servers.Answered(resp)
	return About{Version: doc.Info.Version, Date: resp.Header.Get("Date")}, nil
}

// Get reads the answer of a call of the API into out, and tries again while the server is not available.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return retryUnavailable(ctx, func() error { return c.do(ctx, http.MethodGet, path, "", nil, out) })
}

func runPath(ref string) string { return "/api/v1/runs/" + url.PathEscape(ref) }
