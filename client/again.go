package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"stint.dev/stint/job"
)

// questions is how often a question is put in all when the server, or a proxy before it, says
// that it cannot answer at the moment and when to come back: its database has just restarted,
// say. Only questions: who sends something has its own way with a refusal.
const questions = 3

// soon is the longest that a question waits to be put again.
const soon = 5 * time.Second

// again asks, and asks again where the server wants that.
func again(ctx context.Context, ask func() error) error {
	for n := 1; ; n++ {
		err := ask()
		after := unavailableFor(err)
		if n == questions || after <= 0 || after > soon {
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
