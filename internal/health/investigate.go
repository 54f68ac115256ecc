package health

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Archive is what an investigation reads.
type Archive interface {
	Lease(ctx context.Context, run string) (lease.Lease, error)
	ending.Blocks
	LastSamples(ctx context.Context, run string, attempt, n int) ([]job.Sample, error)
	GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error)
	// OwnerInvalid reports whether the token that a run belongs to was revoked or has expired.
	OwnerInvalid(ctx context.Context, run string) (bool, error)
}

// mostOfSample bounds the samples that an investigation reads.
const mostOfSample = 200

// Investigate gathers what is at hand about a run and says what is to be made of it; nil
// for nothing. What a lost run has as its diagnosis is from before more of its journal arrived.
func Investigate(ctx context.Context, a Archive, run job.Run) (*job.Diagnosis, error) {
	c := Clues{Run: run}
	if run.State == job.Retrying && run.Outcome != nil {
		c.Run.State = run.Outcome.State // of the attempt that is followed by another one
	}
	held, err := a.Lease(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	if held.Attempt == run.Attempt {
		c.Evidence = Current(held)
	}
	if c.Samples, err = a.LastSamples(ctx, run.ID, run.Attempt, mostOfSample); err != nil {
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

// readEnding reads the end of a run's output; one whose blocks are gone has none.
func readEnding(ctx context.Context, a Archive, run job.Run) (ending.Ending, error) {
	end, err := ending.Read(ctx, a, run)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return ending.Ending{}, nil
	}
	return end, err
}

// Compare says what changed from one run to another. Where the journal of one is gone,
// only what both used can be compared.
func Compare(ctx context.Context, a ending.Blocks, before, after job.Run) ([]job.Change, error) {
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

func sideOf(a journal.Attempt, r job.Run) Side {
	s := Side{Identity: a}
	if r.State.Terminal() && r.StartedAt != nil && r.EndedAt != nil {
		s.Usage, s.Duration = r.Usage, r.EndedAt.Sub(*r.StartedAt)
	}
	return s
}

// identityOf reads the first record of a run's journal; false when it is not there.
func identityOf(ctx context.Context, a ending.Blocks, run job.Run) (journal.Attempt, bool, error) {
	data, err := a.BlockData(ctx, run.ID, run.Attempt, journal.HeaderSize)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return journal.Attempt{}, false, nil
	}
	if err != nil {
		return journal.Attempt{}, false, fmt.Errorf("read who run %s is: %w", run.ID, err)
	}
	identity, ok := index.IdentityIn(data)
	return identity, ok, nil
}
