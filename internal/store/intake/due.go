package intake

import (
	"context"
	"errors"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// Expectations are when jobs are expected to be started.
type Expectations interface {
	// SetDueIn sets the expectation of a job in a transaction. The error is *job.InvalidError if it is not valid.
	SetDueIn(ctx context.Context, t *db.Tx, name string, e job.Expectation, by string, now time.Time) error
}

// UseExpectations has the expectations that runs bring stored. Without it they are ignored.
func (s *Intake) UseExpectations(e Expectations) { s.expectations = e }

// expect stores when further runs of a job are expected, if its run says so. What is not valid is ignored: the
// run comes first.
func (g *Group) expect(ctx context.Context, name string, e *job.Expectation, now time.Time) error {
	if e == nil || g.expectations == nil {
		return nil
	}
	err := g.expectations.SetDueIn(ctx, g.Tx, name, *e, "a run", now)
	var invalid *job.InvalidError
	if errors.As(err, &invalid) {
		return nil
	}
	return err
}
