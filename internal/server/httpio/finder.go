package httpio

import (
	"context"
	"net/http"

	"stint.dev/stint/job"
	"stint.dev/stint/job/ref"
)

// RunStore reads runs. Its errors are *query.NotFoundError and *query.AmbiguousError.
type RunStore interface {
	// FindRun returns the id of the run to which a reference refers.
	FindRun(ctx context.Context, r ref.Ref) (id string, err error)
	Run(ctx context.Context, id string) (job.Run, error)
	// RunAttempt returns the run as one attempt, which may not be the last, shows it.
	RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error)
}

// Finder finds runs for handlers whose path has {run}, and writes errors.
type Finder struct {
	ErrorWriter
	Runs RunStore
}

// RunID returns the id of the run to which text, {run} of a path, refers. A text that names an attempt
// is refused.
func (f Finder) RunID(ctx context.Context, text string) (string, error) {
	id, attempt, err := f.find(ctx, text)
	if err == nil && attempt > 0 {
		return "", NewProblem(http.StatusBadRequest, "%s names attempt %d of a run; this is done to the run as a whole: leave out .%d", job.Quote(text), attempt, attempt)
	}
	return id, err
}

// AttemptID returns the id of the run to which text, {run} of a path, refers, and the attempt that text or the
// parameter attempt names; 0 if neither does.
func (f Finder) AttemptID(ctx context.Context, text string, attempt int) (string, int, error) {
	id, named, err := f.find(ctx, text)
	switch {
	case err != nil:
		return "", 0, err
	case named == 0:
		return id, attempt, nil
	case attempt != 0 && attempt != named:
		return "", 0, NewProblem(http.StatusBadRequest, "%s names attempt %d and the parameter attempt says %d: give one of them", job.Quote(text), named, attempt)
	}
	return id, named, nil
}

// find returns the run and the attempt to which text refers; attempt 0 if it names none.
func (f Finder) find(ctx context.Context, text string) (id string, attempt int, err error) {
	parsed, err := ref.Parse(text)
	if err != nil {
		return "", 0, err
	}
	id, err = f.Runs.FindRun(ctx, parsed)
	return id, parsed.Attempt, err
}

// FindRun is RunID for typed handlers: its error is a *Problem.
func (f Finder) FindRun(ctx context.Context, text string) (string, error) {
	id, err := f.RunID(ctx, text)
	if err != nil {
		return "", f.ProblemOf(ctx, "find run "+job.Quote(text), err)
	}
	return id, nil
}

// FindAttempt returns the run to which text, {run} of a path, refers, as an attempt shows it: the one that
// text or the parameter attempt names, else the last one.
func (f Finder) FindAttempt(ctx context.Context, text string, attempt int) (job.Run, error) {
	id, attempt, err := f.AttemptID(ctx, text, attempt)
	if err != nil {
		return job.Run{}, err
	}
	if attempt == 0 {
		return f.Runs.Run(ctx, id)
	}
	return f.Runs.RunAttempt(ctx, id, attempt)
}
