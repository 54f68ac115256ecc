package queue

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/definition"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// SubmitOccurrence makes the run of an occurrence, in a transaction. An occurrence that is refused has written
// nothing: the error is *rules.OverlapError, *definition.ValuesError for a default that cannot be resolved, *rules.FullError,
// *rules.ConflictError for an id that another run has, or *query.NotFoundError for a job without a definition.
func (s *Queue) SubmitOccurrence(ctx context.Context, t *db.Tx, o rules.Occurrence) (job.Run, error) {
	r := job.SubmitRequest{Job: o.Job, Parameters: o.Parameters, Overlap: o.Overlap, After: o.After}
	digest, err := rules.Digest(job.SubmitRequest{Job: o.Job, Key: fmt.Sprintf("schedule %d at %d", o.Schedule, o.At.Unix())})
	if err != nil {
		return job.Run{}, err
	}
	run, _, err := s.submit(ctx, &submitting{SubmitRequest: r, t: t, id: o.Run, by: o.By, digest: digest, of: &o, held: o.Held})
	return run, err
}

// mostBefore is the most runs of a job that an occurrence waits for.
const mostBefore = 100

// checkOverlapOfOccurrence compares an occurrence with the other work of its job: it is skipped, or waits for the end
// of that work.
func (s *submitting) checkOverlapOfOccurrence(ctx context.Context) error {
	if s.Overlap == definition.OverlapAllow {
		return nil
	}
	active, err := tables.LockActive(ctx, s.t, s.Job, mostBefore+1)
	if err != nil || len(active) == 0 {
		return err
	}
	if s.Overlap != definition.OverlapQueue {
		return s.skip(active)
	}
	if len(active) > mostBefore {
		return &rules.ConflictError{Why: fmt.Sprintf("more than %d runs of the job wait or go on", mostBefore)}
	}
	for _, one := range active {
		s.After = append(s.After, job.Dependency{Run: one.ID, When: rules.WhenEnded})
	}
	return nil
}

// skip refuses the run because of the first other run that is in the way.
func (s *submitting) skip(active []tables.ActiveRun) error {
	for _, one := range active {
		if one.Held == "" || !s.of.PassesHeld {
			return &rules.OverlapError{Why: one.String(), Run: one.ID}
		}
	}
	return nil
}
