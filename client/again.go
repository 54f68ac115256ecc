package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"stint.dev/stint/job"
)

// maxUnavailableTries is how often a GET is sent when the reply is 503 with a short Retry-After: the
// server's database has just restarted, for example. Requests that change something are not
// sent again here.
const maxUnavailableTries = 3

// maxUnavailablePause is the longest Retry-After that a GET waits for.
const maxUnavailablePause = 5 * time.Second

// retryUnavailable calls ask, and calls it again after a reply 503 that asks for that.
func retryUnavailable(ctx context.Context, ask func() error) error {
	for n := 1; ; n++ {
		err := ask()
		after := unavailableFor(err)
		if n == maxUnavailableTries || after <= 0 || after > maxUnavailablePause {
			return err
		}
		pause := time.NewTimer(after)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// unavailableFor is the Retry-After of an answer 503; 0 for any other error.
func unavailableFor(err error) time.Duration {
	var p *job.Problem
	var foreign *ForeignReplyError
	switch {
	case errors.As(err, &p) && p.Status == http.StatusServiceUnavailable:
		return p.RetryAfter
	case errors.As(err, &foreign) && foreign.Status == http.StatusServiceUnavailable:
		return foreign.RetryAfter
	}
	return 0
}
