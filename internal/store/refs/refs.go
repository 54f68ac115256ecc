// Package refs finds the run that a person or a program names.
package refs

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/ref"
)

// Refs finds runs.
type Refs struct{ *db.DB }

// New returns the Refs of a database.
func New(d *db.DB) *Refs { return &Refs{d} }

// FindRun returns the id of the run that r names, by the first of its readings by which there is one. The
// error is *query.NotFoundError or *query.AmbiguousError, or one of the database.
func (s *Refs) FindRun(ctx context.Context, r ref.Ref) (string, error) {
	id, err := s.find(ctx, r)
	var missing *query.NotFoundError
	var ambiguous *query.AmbiguousError
	if err != nil && !errors.As(err, &missing) && !errors.As(err, &ambiguous) {
		return "", fmt.Errorf("find run %s: %w", job.Quote(r.Text), err)
	}
	return id, err
}

func (s *Refs) find(ctx context.Context, r ref.Ref) (string, error) {
	if r.Numbered != "" {
		return s.numbered(ctx, r)
	}
	for _, read := range []func(context.Context, ref.Ref) (string, error){s.byID, s.last, s.lastInState, s.byPrefix} {
		if id, err := read(ctx, r); id != "" || err != nil {
			return id, err
		}
	}
	return "", s.missing(ctx, r)
}

// one returns the id that a query returns; empty for none.
func (s *Refs) one(ctx context.Context, statement string, args ...any) (id string, err error) {
	err = s.Reader.QueryRowContext(ctx, statement, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// numbered returns the run that JOB#N names.
func (s *Refs) numbered(ctx context.Context, r ref.Ref) (id string, err error) {
	if job.CheckName(r.Numbered) == nil {
		if r.Number > 0 {
			id, err = s.one(ctx, `SELECT id FROM runs WHERE job = $1 AND number = $2`, r.Numbered, r.Number)
		} else {
			id, err = s.one(ctx, `SELECT id FROM runs WHERE job = $1 ORDER BY start_at DESC, id DESC LIMIT 1 OFFSET $2`, r.Numbered, -(r.Number + 1))
		}
	}
	if id != "" || err != nil {
		return id, err
	}
	missing := &query.NotFoundError{What: "run " + shown(r.Text)}
	switch {
	case r.Number == -1:
		missing.Why = noJob
	case r.Number < 0:
		missing.Why = fmt.Sprintf("the job has fewer than %s runs", strings.TrimPrefix(strconv.FormatInt(r.Number, 10), "-"))
	}
	return "", missing
}

// noJob is why there is no last run of a job.
const noJob = "no job with runs has this name"

// shown returns a reference for an error: as it is, if it is short and nothing in it needs an escape.
func shown(text string) string {
	if quoted := job.Quote(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}

func (s *Refs) byID(ctx context.Context, r ref.Ref) (string, error) {
	if r.ID == "" {
		return "", nil
	}
	return s.one(ctx, `SELECT id FROM runs WHERE id = $1`, r.ID)
}

// last returns the last run of the job whose name r is.
func (s *Refs) last(ctx context.Context, r ref.Ref) (string, error) {
	if r.Job == "" {
		return "", nil
	}
	return s.one(ctx, `SELECT id FROM runs WHERE job = $1 ORDER BY start_at DESC, id DESC LIMIT 1`, r.Job)
}

// lastInState returns the last run of a job in one of the states that r names. Each state is in order in an index.
func (s *Refs) lastInState(ctx context.Context, r ref.Ref) (string, error) {
	var last job.Candidate
	for _, state := range r.States {
		id, start := "", int64(0)
		err := s.Reader.QueryRowContext(ctx, `SELECT id, start_at FROM runs WHERE job = $1 AND state = $2 ORDER BY start_at DESC, id DESC LIMIT 1`,
			r.InState, string(state)).Scan(&id, &start)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return "", err
		}
		if at := db.FromMicros(start); id != "" && cmp.Or(at.Compare(last.StartAt), cmp.Compare(id, last.ID)) > 0 {
			last = job.Candidate{ID: id, StartAt: at}
		}
	}
	return last.ID, nil
}

// byPrefix returns the run whose id begins with the prefix of r.
func (s *Refs) byPrefix(ctx context.Context, r ref.Ref) (string, error) {
	if r.Prefix == "" {
		return "", nil
	}
	const few = 5
	// 'g' is greater than every character of an id.
	rows, err := s.Reader.QueryContext(ctx, `SELECT id, job, number, state, start_at FROM runs WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3`,
		r.Prefix, r.Prefix+"g", few+1)
	if err != nil {
		return "", err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var found []job.Candidate
	for rows.Next() {
		var c job.Candidate
		var start int64
		if err := rows.Scan(&c.ID, &c.Job, &c.Number, &c.State, &start); err != nil {
			return "", err
		}
		c.StartAt = db.FromMicros(start)
		found = append(found, c)
	}
	switch err := rows.Err(); {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", nil
	case len(found) > 1:
		return "", &query.AmbiguousError{Prefix: r.Prefix, Matches: found[:min(few, len(found))], More: len(found) > few}
	}
	return found[0].ID, nil
}

// missing returns the error for a reference by none of whose readings there is a run.
func (s *Refs) missing(ctx context.Context, r ref.Ref) error {
	if r.ID != "" {
		var deleted *query.DeletedRunError
		if err := tables.MissingRun(ctx, s.Reader, s.Dialect, r.ID); errors.As(err, &deleted) {
			return err
		}
	}
	e := &query.NotFoundError{What: "run " + shown(r.Text)}
	switch {
	case r.InState != "":
		last, err := s.last(ctx, ref.Ref{Job: r.InState})
		if err != nil {
			return err
		}
		e.Why = noJob
		if last != "" {
			names := make([]string, len(r.States))
			for i, state := range r.States {
				names[i] = string(state)
			}
			e.Why = "no run of the job is " + strings.Join(names, " or ")
		}
	case r.Prefix != "":
		e.Why = noJob + ", and no id of a run begins so"
	case r.ID == "":
		e.Why = noJob
	}
	return e
}
