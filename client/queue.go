package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/job"
)

const (
	// submitTries is how often a submission is sent while there is no answer, and submitPause the
	// pause before the second time; it doubles.
	submitTries = 4
	submitPause = 200 * time.Millisecond
)

// Submit asks for a run with the id that the caller made for it. Asking again for the same is
// harmless, so a request without an answer is repeated a few times. Another request with the id of
// a run is a *job.Problem with the status 409, a full queue one with 429.
func (c *Client) Submit(ctx context.Context, run string, r job.SubmitRequest) (job.Run, error) {
	var out job.Run
	body, err := json.Marshal(r)
	if err != nil {
		return out, fmt.Errorf("encode a submission: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pause := submitPause
	for n := 1; ; n++ {
		out = job.Run{}
		err = c.do(ctx, http.MethodPut, runPath(run), "application/json", body, &out)
		if err == nil && out.ID != run {
			return out, fmt.Errorf("%s answered for another run (%s, not %s)", c.URL(), job.Quote(out.ID), run)
		}
		if n == submitTries || !mayRepeat(err) {
			return out, err
		}
		timer := time.NewTimer(max(pause, min(unavailableFor(err), maxUnavailablePause)))
		pause *= 2
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return out, err
		}
	}
}

// mayRepeat reports whether the error of a request that may be repeated is one of a moment.
func mayRepeat(err error) bool {
	var unreachable *UnreachableError
	return errors.As(err, &unreachable) || unavailableFor(err) > 0
}

// QueueQuery filters the queue. Zero fields do not filter.
type QueueQuery struct {
	Job    string
	Group  string
	Held   bool // only runs that a person must release
	Limit  int  // of a page; 0 for the server's own
	Cursor string
}

// Queue lists queued runs in their order, with what each waits for.
func (c *Client) Queue(ctx context.Context, q QueueQuery) (job.QueuePage, error) {
	v := url.Values{}
	for name, value := range map[string]string{"job": q.Job, "group": q.Group, "cursor": q.Cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Held {
		v.Set("held", "true")
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out job.QueuePage
	err := c.Get(ctx, "/api/v1/queue?"+v.Encode(), &out)
	return out, err
}

// ReleaseQueue lets the held runs of a job, or all, go on, and returns how many there were.
func (c *Client) ReleaseQueue(ctx context.Context, name, by string) (int64, error) {
	var out job.QueueReleaseReply
	err := c.Send(ctx, http.MethodPost, "/api/v1/queue/release", job.QueueReleaseRequest{Job: name, By: by}, &out)
	return out.Released, err
}

// SetPriority gives a queued run another priority: it is ranked anew.
func (c *Client) SetPriority(ctx context.Context, ref string, p job.Priority) (job.Run, error) {
	var out job.Run
	err := c.Send(ctx, http.MethodPost, runPath(ref)+"/priority", job.PriorityRequest{Priority: p}, &out)
	return out, err
}

func groupPath(name string) string { return "/api/v1/groups/" + url.PathEscape(name) }

// Groups lists the groups in the order of names.
func (c *Client) Groups(ctx context.Context) ([]job.Group, error) {
	var out struct {
		Groups []job.Group `json:"groups"`
	}
	err := c.Get(ctx, "/api/v1/groups", &out)
	return out.Groups, err
}

// SetGroup sets how many runs of a group may be active at once, and creates the group.
func (c *Client) SetGroup(ctx context.Context, name string, limit int) (job.Group, error) {
	var out job.Group
	err := c.Send(ctx, http.MethodPut, groupPath(name), map[string]int{"limit": limit}, &out)
	return out, err
}

// DeleteGroup deletes a group: its runs have no common limit any more.
func (c *Client) DeleteGroup(ctx context.Context, name string) error {
	return c.Send(ctx, http.MethodDelete, groupPath(name), nil, nil)
}

// Workers lists the workers in the order of names.
func (c *Client) Workers(ctx context.Context) ([]job.WorkerInfo, error) {
	var out struct {
		Workers []job.WorkerInfo `json:"workers"`
	}
	err := c.Get(ctx, "/api/v1/workers", &out)
	return out.Workers, err
}

// DrainWorker keeps a worker from getting runs until ResumeWorker.
func (c *Client) DrainWorker(ctx context.Context, name string, r job.DrainRequest) (job.WorkerInfo, error) {
	var out job.WorkerInfo
	err := c.Send(ctx, http.MethodPost, workerPath(name)+"/drain", r, &out)
	return out, err
}

// ResumeWorker ends the drain of a worker.
func (c *Client) ResumeWorker(ctx context.Context, name string) (job.WorkerInfo, error) {
	var out job.WorkerInfo
	err := c.Send(ctx, http.MethodPost, workerPath(name)+"/resume", nil, &out)
	return out, err
}
