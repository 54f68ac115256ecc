package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"stint.dev/stint/job"
)

// claimGrace is how much longer than the server may hold it a request for runs may take.
const claimGrace = 10 * time.Second

func workerPath(worker string) string { return "/api/v1/workers/" + url.PathEscape(worker) }

// Claim asks for runs for a worker. The server holds the request until it has some, at most for
// WaitMS. After an error the same request, with the same ClaimID, returns the same runs. Labels
// and the like may change in between.
func (c *Client) Claim(ctx context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.WaitMS)*time.Millisecond+claimGrace)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return job.ClaimReply{}, fmt.Errorf("encode the request for runs: %w", err)
	}
	var reply job.ClaimReply
	err = c.do(ctx, http.MethodPost, workerPath(worker)+"/claims", "application/json", body, &reply)
	if err == nil && reply.ClaimID != r.ClaimID {
		err = fmt.Errorf("%s answered another request for runs (%s, not %s)", c.URL(), job.Quote(reply.ClaimID), r.ClaimID)
	}
	if err == nil {
		err = c.servers.Named(reply.Server)
	}
	if err != nil {
		return job.ClaimReply{}, err
	}
	return reply, nil
}

// ReleaseClaim gives a claim of a worker back: the run waits again at its old place. A claim that
// has ended meanwhile is no error.
func (c *Client) ReleaseClaim(ctx context.Context, worker, claim, reason string) error {
	path := workerPath(worker) + "/claims/" + url.PathEscape(claim) + "/release"
	return c.Send(ctx, http.MethodPost, path, job.ReleaseRequest{Reason: reason}, nil)
}
