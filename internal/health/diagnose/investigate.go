package diagnose

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// Store is what a diagnosis reads.
type Store interface {
	Lease(ctx context.Context, run string) (lease.Lease, error)
	ending.Blocks
	// LastSamples returns the last n samples of an attempt, in the order of time.
	LastSamples(ctx context.Context, run string, attempt, n int) ([]job.Sample, error)
	// GoodRunsBefore returns the last runs of the same job that succeeded and started before a run.
	GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error)
	// OwnerInvalid reports whether the token that a run belongs to was revoked or has expired.
	OwnerInvalid(ctx context.Context, run string) (bool, error)
}

// maxSamples is how many samples a diagnosis reads.
const maxSamples = 200

// Investigate reads the clues about a run and returns its diagnosis; nil if there is nothing to report. If
// the run was called lost before, because more of its journal has arrived since, the result is the more
// certain of both diagnoses.
func Investigate(ctx context.Context, a Store, run job.Run) (*job.Diagnosis, error) {
	c := Clues{Run: run}
	if run.State == job.Retrying && run.Outcome != nil {
		c.Run.State = run.Outcome.State // of the attempt that ended
	}
	held, err := a.Lease(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	if held.Attempt == run.Attempt {
		c.Evidence = rules.Current(held)
	}
	if c.Samples, err = a.LastSamples(ctx, run.ID, run.Attempt, maxSamples); err != nil {
		return nil, err
	}
	if c.Ending, err = readEnding(ctx, a, run); err != nil {
		return nil, err
	}
	if run.State == job.Lost && run.Diagnosis == nil { // later it may be invalid because the run was lost
		if c.TokenInvalid, err = a.OwnerInvalid(ctx, run.ID); err != nil {
			return nil, err
		}
	}
	before, err := a.GoodRunsBefore(ctx, run, 1)
	if err != nil {
		return nil, err
	}
	if len(before) == 1 {
		c.Since = fmt.Sprintf("#%d", before[0].Number)
		if c.Changes, err = Compare(ctx, a, before[0], run); err != nil {
			return nil, err
		}
	}
	d := Diagnose(c)
	if run.State == job.Lost {
		d = MoreCertain(run.Diagnosis, d)
	}
	return d, nil
}

// readEnding returns the end of a run's output. It is empty if the output was deleted.
func readEnding(ctx context.Context, a Store, run job.Run) (ending.Ending, error) {
	end, err := ending.Read(ctx, a, run)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return ending.Ending{}, nil
	}
	return end, err
}

// Compare returns the changes from one run to another. If the journal of one was deleted, it compares only
// what both have used.
func Compare(ctx context.Context, a ending.Blocks, before, after job.Run) ([]api.Change, error) {
	x, ok1, err := identityOf(ctx, a, before)
	if err != nil {
		return nil, err
	}
	y, ok2, err := identityOf(ctx, a, after)
	if err != nil {
		return nil, err
	}
	if !ok1 || !ok2 {
		x, y = journal.Attempt{}, journal.Attempt{}
	}
	return Changes(sideOf(x, before), sideOf(y, after)), nil
}

// sideOf returns a run with its identity for Changes.
func sideOf(a journal.Attempt, r job.Run) Side {
	s := Side{Identity: a}
	if took, known := r.Took(); known && r.State.Terminal() {
		s.Usage, s.Duration = r.Usage, took
	}
	return s
}

// identityOf returns the first record of a run's journal; false if the journal was deleted.
func identityOf(ctx context.Context, a ending.Blocks, run job.Run) (journal.Attempt, bool, error) {
	data, err := a.BlockData(ctx, run.ID, run.Attempt, journal.HeaderSize)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return journal.Attempt{}, false, nil
	}
	if err != nil {
		return journal.Attempt{}, false, fmt.Errorf("read the identity of run %s: %w", run.ID, err)
	}
	identity, ok := index.IdentityIn(data)
	return identity, ok, nil
}
