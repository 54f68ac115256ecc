package queue

import (
	"context"
	"fmt"
	"slices"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// Submitted is the run of an occurrence, or why there is none.
type Submitted struct {
	Run job.Run
	// Err is *rules.OverlapError, *definition.ValuesError for a default that cannot be resolved, *rules.FullError,
	// *rules.ConflictError for an id that another run has, *job.InvalidError, or *query.NotFoundError for a job without a
	// definition; nil with a run. An occurrence that is refused has written nothing.
	Err error
}

// SubmitOccurrences makes the runs of occurrences, in a transaction and in their order. It reads and writes the rows of all
// together.
func (s *Queue) SubmitOccurrences(ctx context.Context, t *db.Tx, all []rules.Occurrence) ([]Submitted, error) {
	done := make([]Submitted, len(all))
	var left []*submitting
	for i := range all {
		one, err := newOccurrence(t, &all[i])
		if err != nil {
			return nil, err
		}
		one.done = &done[i]
		left = append(left, one)
	}
	join := map[string]int64{}
	for len(left) > 0 {
		// Those of one job one after the other: the run of the first is other work for the next.
		var turn, later []*submitting
		seen := map[string]bool{}
		for _, one := range left {
			if seen[one.Job] {
				later = append(later, one)
				continue
			}
			seen[one.Job] = true
			turn = append(turn, one)
		}
		if err := s.submitTurn(ctx, t, turn, join); err != nil {
			return nil, err
		}
		left = later
	}
	return done, nil
}

func newOccurrence(t *db.Tx, o *rules.Occurrence) (*submitting, error) {
	digest, err := rules.Digest(job.SubmitRequest{Job: o.Job, Key: fmt.Sprintf("schedule %d at %d", o.Schedule, o.At.Unix())})
	return &submitting{
		SubmitRequest: job.SubmitRequest{Job: o.Job, Parameters: o.Parameters, Overlap: o.Overlap, After: o.After},
		t:             t, id: o.Run, by: o.By, digest: digest, now: db.FromMicros(db.Micros(t.Now())), of: o, held: o.Held,
	}, err
}

// submitTurn makes the runs of occurrences of different jobs. It counts in join how many of each job joined the queue.
func (s *Queue) submitTurn(ctx context.Context, t *db.Tx, all []*submitting, join map[string]int64) error {
	all, err := s.unknown(ctx, t, all)
	if err != nil || len(all) == 0 {
		return err
	}
	stored, err := tables.ReadDefinitions(ctx, t, jobsOf(all))
	if err != nil {
		return err
	}
	all = accepted(all, func(one *submitting) error {
		d, known := stored[one.Job]
		if !known {
			return &query.NotFoundError{What: "a definition of job " + job.Quote(one.Job)}
		}
		requires, err := one.use(d.Definition, d.Hash)
		one.selector = one.complete(rules.Selector{Requires: requires})
		return err
	})
	var alone []*submitting
	for _, one := range all {
		if one.Overlap != definition.OverlapAllow {
			alone = append(alone, one)
		}
	}
	active, err := tables.LockActive(ctx, t, jobsOf(alone), mostBefore+1)
	if err != nil {
		return err
	}
	all = accepted(all, func(one *submitting) (err error) {
		if err := one.compare(active[one.Job]); err != nil {
			return err
		}
		if one.after, err = one.dependencies(ctx); err != nil {
			return err
		}
		if err = s.checkRoom(ctx, t, one.Job, join); err == nil {
			join[one.Job]++
			join[everything]++
		}
		return err
	})
	if len(all) == 0 {
		return nil
	}
	if err := s.insert(ctx, t, all); err != nil {
		return err
	}
	for _, one := range all {
		one.done.Run = one.row.Run
	}
	return nil
}

// accepted returns the occurrences that check does not refuse.
func accepted(all []*submitting, check func(*submitting) error) (left []*submitting) {
	for _, one := range all {
		if one.done.Err = check(one); one.done.Err == nil {
			left = append(left, one)
		}
	}
	return left
}

func jobsOf(all []*submitting) []string {
	names := []string{}
	for _, one := range all {
		names = append(names, one.Job)
	}
	return names
}

// unknown returns the occurrences whose runs have not been made before.
func (s *Queue) unknown(ctx context.Context, t *db.Tx, all []*submitting) (left []*submitting, err error) {
	var ids []string
	for _, one := range all {
		ids = append(ids, one.id)
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: ids})
	known, err := db.QueryTexts(ctx, t, `SELECT id FROM runs WHERE id IN (SELECT c0 FROM `+table+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read which of %d runs are known: %w", len(ids), err)
	}
	for _, one := range all {
		if !slices.Contains(known, one.id) {
			left = append(left, one)
		} else {
			one.done.Run, _, one.done.Err = one.before(ctx)
		}
	}
	return left, nil
}

// mostBefore is the most runs of a job that an occurrence waits for.
const mostBefore = 100

// compare compares an occurrence with the other work of its job: it is skipped, or waits for the end of that work.
func (s *submitting) compare(active []tables.ActiveRun) error {
	switch {
	case s.Overlap == definition.OverlapAllow || len(active) == 0:
		return nil
	case s.Overlap != definition.OverlapQueue:
		return s.skip(active)
	case len(active) > mostBefore:
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
