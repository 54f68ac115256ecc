package health

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Archive is what an investigation reads.
type Archive interface {
	Lease(ctx context.Context, run string) (index.Lease, error)
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	LastBlocks(ctx context.Context, run string, attempt, limit int) ([]index.BlockHead, error)
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
	LastSamples(ctx context.Context, run string, attempt, n int) ([]job.Sample, error)
	GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error)
}

// What an investigation reads at most.
const (
	lastBlocks   = 8
	lastBytes    = 1 << 20
	lastLines    = 30
	longestLine  = 500
	mostOfSample = 200
)

// Investigate gathers what is at hand about a run and says what is to be made of it; nil
// for nothing.
func Investigate(ctx context.Context, a Archive, run job.Run) (*job.Diagnosis, error) {
	c := Clues{Run: run}
	lease, err := a.Lease(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	if lease.Attempt == run.Attempt {
		c.Evidence = Current(lease)
	}
	if c.Samples, err = a.LastSamples(ctx, run.ID, run.Attempt, mostOfSample); err != nil {
		return nil, err
	}
	if c.Stderr, err = lastWordsOf(ctx, a, run); err != nil {
		return nil, err
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
	return Diagnose(c), nil
}

// lastWordsOf reads the end of what a run printed.
func lastWordsOf(ctx context.Context, a Archive, run job.Run) ([]string, error) {
	heads, err := a.LastBlocks(ctx, run.ID, run.Attempt, lastBlocks)
	if err != nil {
		return nil, err
	}
	var data []byte
	for i := len(heads) - 1; i >= 0 && len(data) < lastBytes; i-- {
		block, err := a.BlockData(ctx, run.ID, run.Attempt, heads[i].Start)
		var gone *index.NotFoundError
		if errors.As(err, &gone) {
			break
		}
		if err != nil {
			return nil, err
		}
		data = append(block[:min(int64(len(block)), heads[i].Size):min(int64(len(block)), heads[i].Size)], data...)
	}
	return index.LastLines(data, lastLines, longestLine), nil
}

// Compare says what changed from one run to another. Where the journal of one is gone,
// only what both used can be compared.
func Compare(ctx context.Context, a Archive, before, after job.Run) ([]job.Change, error) {
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
func identityOf(ctx context.Context, a Archive, run job.Run) (journal.Attempt, bool, error) {
	data, err := a.BlockData(ctx, run.ID, run.Attempt, journal.HeaderSize)
	var gone *index.NotFoundError
	if errors.As(err, &gone) {
		return journal.Attempt{}, false, nil
	}
	if err != nil {
		return journal.Attempt{}, false, fmt.Errorf("read who run %s is: %w", run.ID, err)
	}
	identity, ok := index.IdentityIn(data)
	return identity, ok, nil
}
