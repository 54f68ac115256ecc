package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Routes lists the routes of notifications.
func (c *Client) Routes(ctx context.Context) ([]api.Route, error) {
	var out struct {
		Routes []api.Route `json:"routes"`
	}
	err := c.Get(ctx, "/api/v1/routes", &out)
	return out.Routes, err
}

// SetRoute sets a route, new or changed, and returns it as the server shows it. A URL as
// it is shown, and an empty secret, leave what was set before.
func (c *Client) SetRoute(ctx context.Context, r api.Route) (api.Route, error) {
	var out api.Route
	err := c.Send(ctx, http.MethodPut, routePath(r.Name), r, &out)
	return out, err
}

// DeleteRoute deletes a route. What waits for it is dropped.
func (c *Client) DeleteRoute(ctx context.Context, name string) error {
	return c.Send(ctx, http.MethodDelete, routePath(name), nil, nil)
}

// TestRoute sends a test message through a route. It returns why the receiver has not
// taken it; empty when it has.
func (c *Client) TestRoute(ctx context.Context, name string) (refused string, err error) {
	var out struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := c.Send(ctx, http.MethodPost, routePath(name)+"/test", nil, &out); err != nil || out.OK {
		return "", err
	}
	return out.Error, nil
}

// Retry asks the waiting agent of a run that has ended for another attempt.
func (c *Client) Retry(ctx context.Context, ref, by, why string) (job.Run, error) {
	var r job.Run
	err := c.Send(ctx, http.MethodPost, runPath(ref)+"/retry", map[string]string{"by": by, "why": why}, &r)
	return r, err
}

// Acknowledge records that a person knows what is wrong with a run: notifications are not repeated.
func (c *Client) Acknowledge(ctx context.Context, ref, by, why string) (job.Run, error) {
	var r job.Run
	err := c.Send(ctx, http.MethodPost, runPath(ref)+"/acknowledge", map[string]string{"by": by, "why": why}, &r)
	return r, err
}

// Unacknowledge removes the acknowledgement of a run.
func (c *Client) Unacknowledge(ctx context.Context, ref, by string) (job.Run, error) {
	var r job.Run
	err := c.Send(ctx, http.MethodDelete, runPath(ref)+"/acknowledge?"+url.Values{"by": {by}}.Encode(), nil, &r)
	return r, err
}

func routePath(name string) string { return "/api/v1/routes/" + url.PathEscape(name) }

// Send makes a call of the API: it sends in as JSON, nothing when it is nil, and reads the answer into out.
func (c *Client) Send(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode a request: %w", err)
		}
	}
	return c.do(ctx, method, path, "application/json", body, out)
}
