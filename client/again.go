package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"stint.dev/stint/job"
)

// questions is how often a question is put in all when the server says that it cannot
// answer at the moment and when to come back: its database has just restarted, say. Only
// questions: who sends something has its own way with a refusal.
const questions = 3

// soon is the longest that a question waits to be put again.
const soon = 5 * time.Second

// again asks, and asks again where the server wants that.
func again(ctx context.Context, ask func() error) error {
	for n := 1; ; n++ {
		err := ask()
		var p *job.Problem
		if n == questions || !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 || p.RetryAfter > soon {
			return err
		}
		pause := time.NewTimer(p.RetryAfter)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}
