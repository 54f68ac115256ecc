package httpio

import (
	"context"

	"stint.dev/stint/job"
)

// RunStore finds runs. Its errors are *query.NotFoundError and *query.AmbiguousError.
type RunStore interface {
	FindRun(ctx context.Context, ref job.Ref) (id string, err error)
	Run(ctx context.Context, id string) (job.Run, error)
	// RunAttempt is Run as of one attempt, which may not be the last.
	RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error)
}

// Finder is Replies for calls that name a run.
type Finder struct {
	Replies
	Found RunStore
}

// RunID returns the id of the run that {run} of a path names.
func (f Finder) RunID(ctx context.Context, ref string) (string, error) {
	parsed, err := job.ParseRef(ref)
	if err != nil {
		return "", err
	}
	return f.Found.FindRun(ctx, parsed)
}

// FindRun is RunID for a typed handler: its error is for the client.
func (f Finder) FindRun(ctx context.Context, ref string) (string, error) {
	id, err := f.RunID(ctx, ref)
	if err != nil {
		return "", f.Internal(ctx, "find run "+job.Quote(ref), err)
	}
	return id, nil
}

// AttemptView returns the run that {run} of a path names, as of one attempt; 0 is the last one.
func (f Finder) AttemptView(ctx context.Context, ref string, attempt int) (job.Run, error) {
	id, err := f.RunID(ctx, ref)
	if err != nil {
		return job.Run{}, err
	}
	if attempt == 0 {
		return f.Found.Run(ctx, id)
	}
	return f.Found.RunAttempt(ctx, id, attempt)
}
