package httpio

import (
	"context"

	"stint.dev/stint/job"
)

// RunStore reads runs. Its errors are *query.NotFoundError and *query.AmbiguousError.
type RunStore interface {
	// FindRun returns the id of the run to which a reference refers.
	FindRun(ctx context.Context, ref job.Ref) (id string, err error)
	Run(ctx context.Context, id string) (job.Run, error)
	// RunAttempt returns the run as one attempt, which may not be the last, shows it.
	RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error)
}

// Finder finds runs for handlers whose path has {run}, and writes errors.
type Finder struct {
	ErrorWriter
	Runs RunStore
}

// RunID returns the id of the run to which ref, {run} of a path, refers.
func (f Finder) RunID(ctx context.Context, ref string) (string, error) {
	parsed, err := job.ParseRef(ref)
	if err != nil {
		return "", err
	}
	return f.Runs.FindRun(ctx, parsed)
}

// FindRun is RunID for typed handlers: its error is a *Problem.
func (f Finder) FindRun(ctx context.Context, ref string) (string, error) {
	id, err := f.RunID(ctx, ref)
	if err != nil {
		return "", f.ProblemOf(ctx, "find run "+job.Quote(ref), err)
	}
	return id, nil
}

// FindAttempt returns the run to which ref, {run} of a path, refers, as one attempt shows it; attempt 0
// is the last one.
func (f Finder) FindAttempt(ctx context.Context, ref string, attempt int) (job.Run, error) {
	id, err := f.RunID(ctx, ref)
	if err != nil {
		return job.Run{}, err
	}
	if attempt == 0 {
		return f.Runs.Run(ctx, id)
	}
	return f.Runs.RunAttempt(ctx, id, attempt)
}
