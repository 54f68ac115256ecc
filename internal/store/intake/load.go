package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
)

// load reads and locks the rows of appends.
func (g *Group) load(ctx context.Context, appends []index.Append) error {
	runs, keys := map[string]bool{}, map[tables.AttemptKey]bool{}
	for _, a := range appends {
		if index.CheckAddress(a.Run, a.Attempt) == nil {
			runs[a.Run], keys[tables.AttemptKey{Run: a.Run, Attempt: a.Attempt}] = true, true
		}
	}
	if len(runs) == 0 {
		return nil
	}
	if err := g.LoadRuns(ctx, slices.Sorted(maps.Keys(runs))); err != nil {
		return err
	}
	if err := g.loadDeleted(ctx, runs); err != nil {
		return err
	}
	if err := g.loadAttempts(ctx, slices.SortedFunc(maps.Keys(keys), tables.CompareKeys)); err != nil {
		return err
	}
	return g.loadAsks(ctx, appends)
}

// LoadRuns reads and locks runs.
func (g *Group) LoadRuns(ctx context.Context, ids []string) error {
	table, args := g.Tx.Dialect.Table(1, db.Column{Texts: ids})
	rows, err := g.Tx.QueryContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id IN (SELECT c0 FROM `+table+`) ORDER BY id`+g.Tx.Dialect.Lock, args...)
	if err != nil {
		return fmt.Errorf("read %d runs: %w", len(ids), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		row, err := tables.ScanRun(rows)
		var bad *query.UnreadableError
		switch {
		case errors.As(err, &bad):
			g.unreadable[bad.Run.ID] = &unreadableRow{troubled.Run, bad.Run.ID, bad}
		case err != nil:
			return err
		default:
			g.Runs[row.Run.ID] = &row
		}
	}
	return rows.Err()
}

// loadDeleted reads which of some runs somebody has deleted. It follows LoadRuns: those that were found are not.
func (g *Group) loadDeleted(ctx context.Context, ids map[string]bool) (err error) {
	missing := slices.DeleteFunc(slices.Sorted(maps.Keys(ids)), func(id string) bool { return g.Runs[id] != nil })
	g.deleted, err = tables.DeletedRuns(ctx, g.Tx, g.Tx.Dialect, missing)
	return err
}

// refused returns why the group takes nothing of a run: its row cannot be read, or it was deleted.
func (g *Group) refused(run string) error {
	if bad := g.unreadable[run]; bad != nil {
		return bad.err
	}
	if gone := g.deleted[run]; gone != nil {
		return gone
	}
	return nil
}

func (g *Group) loadAttempts(ctx context.Context, keys []tables.AttemptKey) error {
	runs, attempts := make([]string, len(keys)), make([]int64, len(keys))
	for i, k := range keys {
		runs[i], attempts[i] = k.Run, int64(k.Attempt)
	}
	table, args := g.Tx.Dialect.Table(1, db.Column{Texts: runs}, db.Column{Numbers: attempts})
	rows, err := g.Tx.QueryContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts
		WHERE (run_id, attempt) IN (SELECT c0, c1 FROM `+table+`) ORDER BY run_id, attempt`+g.Tx.Dialect.Lock, args...)
	if err != nil {
		return fmt.Errorf("read %d attempts: %w", len(keys), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		key, row, err := tables.ScanAttempt(rows)
		var bad *query.UnreadableError
		switch {
		case errors.As(err, &bad):
			g.unreadable[key.Run] = &unreadableRow{troubled.Attempt, key.String(), bad}
		case err != nil:
			return err
		default:
			g.attempts[key] = row
		}
	}
	return rows.Err()
}

// Attempt returns the row of an attempt; a new one if there is none.
func (g *Group) Attempt(ctx context.Context, key tables.AttemptKey) (*tables.AttemptRow, error) {
	if row := g.attempts[key]; row != nil {
		return row, nil
	}
	if err := g.loadAttempts(ctx, []tables.AttemptKey{key}); err != nil {
		return nil, err
	}
	if bad := g.unreadable[key.Run]; bad != nil {
		return nil, bad.err
	}
	if g.attempts[key] == nil {
		g.attempts[key] = &tables.AttemptRow{AttemptDoc: tables.AttemptDoc{State: index.NewState(key.Run, key.Attempt)}}
	}
	return g.attempts[key], nil
}

// unreadableRow is a run or an attempt that a group needed and could not read.
type unreadableRow struct {
	kind, id string // of the troubled item
	err      *query.UnreadableError
}

// noteUnreadable records the rows that a group could not read as troubled items, and removes the items
// of rows that it could read.
func (s *Intake) noteUnreadable(ctx context.Context, bad map[string]*unreadableRow, appends []index.Append, appended []index.Appended) {
	for _, one := range bad {
		s.RecordFailure(ctx, one.kind, one.id, one.err)
	}
	for i, a := range appends {
		if appended[i].Err == nil {
			s.ClearFailure(ctx, troubled.Run, a.Run)
			s.ClearFailure(ctx, troubled.Attempt, tables.AttemptKey{Run: a.Run, Attempt: a.Attempt}.String())
		}
	}
}
