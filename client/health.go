package client

import (
	"context"
	"net/http"
	"net/url"

	"stint.dev/stint/job/api"
)

// Explain returns the result of every health rule for a run.
func (c *Client) Explain(ctx context.Context, ref string) (api.Explanation, error) {
	var out api.Explanation
	err := c.Get(ctx, runPath(ref)+"/explain", &out)
	return out, err
}

// Changes returns what changed since the last good run, or since the run named with.
func (c *Client) Changes(ctx context.Context, ref, with string) (api.Changes, error) {
	path := runPath(ref) + "/changes"
	if with != "" {
		path += "?with=" + url.QueryEscape(with)
	}
	var out api.Changes
	err := c.Get(ctx, path, &out)
	return out, err
}

// Job returns one job with its figures.
func (c *Client) Job(ctx context.Context, name string) (api.Summary, error) {
	var out api.Summary
	err := c.Get(ctx, jobPath(name), &out)
	return out, err
}

// Policy returns the policy that holds for a job.
func (c *Client) Policy(ctx context.Context, name string) (api.JobPolicy, error) {
	var out api.JobPolicy
	err := c.Get(ctx, jobPath(name)+"/policy", &out)
	return out, err
}

// SetPolicy sets the policy of a job. A mistake in it is a *job.Problem with its place.
func (c *Client) SetPolicy(ctx context.Context, name string, yaml []byte) (api.JobPolicy, error) {
	var out api.JobPolicy
	err := c.put(ctx, http.MethodPut, jobPath(name)+"/policy", yaml, &out)
	return out, err
}

// DeletePolicy removes the policy of a job: the default applies again.
func (c *Client) DeletePolicy(ctx context.Context, name string) (api.JobPolicy, error) {
	var out api.JobPolicy
	err := c.put(ctx, http.MethodDelete, jobPath(name)+"/policy", nil, &out)
	return out, err
}

// TestPolicy replays a policy over the stored runs of a job.
func (c *Client) TestPolicy(ctx context.Context, name string, yaml []byte) (api.PolicyTest, error) {
	var out api.PolicyTest
	err := c.put(ctx, http.MethodPost, jobPath(name)+"/policy/test", yaml, &out)
	return out, err
}

// put sends a policy, also an empty one.
func (c *Client) put(ctx context.Context, method, path string, text []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.do(ctx, method, path, "application/yaml", text, out)
}

// Due returns when a job is expected to be started; a *job.Problem with the status 404 if nobody expects it.
func (c *Client) Due(ctx context.Context, name string) (out api.JobDue, err error) {
	err = c.Get(ctx, jobPath(name)+"/due", &out)
	return out, err
}

// PutDue sets when a job is expected to be started, and how it is pinged. It stays paused if it is.
func (c *Client) PutDue(ctx context.Context, name string, set api.DueRequest) (out api.JobDue, err error) {
	err = c.Send(ctx, http.MethodPut, jobPath(name)+"/due", set, &out)
	return out, err
}

// PauseDue pauses the expectation of a job: what is due meanwhile is not missed.
func (c *Client) PauseDue(ctx context.Context, name string) (out api.JobDue, err error) {
	err = c.Send(ctx, http.MethodPost, jobPath(name)+"/due/pause", nil, &out)
	return out, err
}

// ResumeDue ends the pause of an expectation.
func (c *Client) ResumeDue(ctx context.Context, name string) (out api.JobDue, err error) {
	err = c.Send(ctx, http.MethodPost, jobPath(name)+"/due/resume", nil, &out)
	return out, err
}

// DeleteDue deletes the expectation of a job.
func (c *Client) DeleteDue(ctx context.Context, name string) error {
	return c.Send(ctx, http.MethodDelete, jobPath(name)+"/due", nil, nil)
}

func jobPath(name string) string { return "/api/v1/jobs/" + url.PathEscape(name) }
