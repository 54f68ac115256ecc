package tables

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"stint.dev/stint/internal/store/db"
)

// InsertQueued inserts runs that were submitted, with their labels, and sets their numbers: runs of one job have theirs in
// the order of the list.
func InsertQueued(ctx context.Context, t *db.Tx, rows []*RunRow) error {
	if err := numberRuns(ctx, t, rows); err != nil {
		return err
	}
	var ids, jobs, search, docs []string
	var numbers, created, start, reported, expires []int64
	for _, row := range rows {
		r := &row.Run
		doc, err := json.Marshal(runDoc{Run: *r})
		if err != nil {
			return fmt.Errorf("encode run %s: %w", r.ID, err)
		}
		ids, jobs, search, docs = append(ids, r.ID), append(jobs, r.Job), append(search, searchText(r)), append(docs, string(doc))
		numbers, created, start = append(numbers, r.Number), append(created, db.Micros(r.CreatedAt)), append(start, db.Micros(r.StartAt))
		reported, expires = append(reported, db.Micros(row.ReportedAt)), append(expires, db.Micros(row.ExpiresAt))
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: ids}, db.Column{Texts: jobs}, db.Column{Numbers: numbers}, db.Column{Numbers: created}, db.Column{Numbers: start},
		db.Column{Numbers: reported}, db.Column{Numbers: expires}, db.Column{Texts: search}, db.Column{Texts: docs})
	res, err := t.ExecContext(ctx, `INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, reported_at, lease_us, expires_at, period_us, peak_memory, search, doc)
		SELECT c0, c1, c2, 0, 'queued', '', 0, c3, c4, c5, 0, c6, 0, 0, c7, c8 FROM `+table+` WHERE true ON CONFLICT (id) DO NOTHING`, args...)
	var made int64
	if err == nil {
		made, err = res.RowsAffected()
	}
	if err == nil && made < int64(len(rows)) {
		err = db.ErrRetry
	}
	if err != nil {
		return fmt.Errorf("create %d runs: %w", len(rows), err)
	}
	for _, row := range rows {
		if len(row.Run.Labels) > 0 {
			if err := SetLabels(ctx, t, &row.Run); err != nil {
				return err
			}
		}
	}
	return nil
}

// numberRuns takes the numbers of runs.
func numberRuns(ctx context.Context, t *db.Tx, all []*RunRow) error {
	count := map[string]int64{}
	for _, row := range all {
		count[row.Run.Job]++
	}
	names := slices.Sorted(maps.Keys(count)) // in one order, so that servers do not wait for each other in a circle
	counts := make([]int64, len(names))
	for i, name := range names {
		counts[i] = count[name]
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: names}, db.Column{Numbers: counts})
	rows, err := t.QueryContext(ctx, `INSERT INTO jobs (name, next_number) SELECT c0, c1 + 1 FROM `+table+` WHERE true
		ON CONFLICT (name) DO UPDATE SET next_number = jobs.next_number + excluded.next_number - 1 RETURNING name, next_number`, args...)
	if err != nil {
		return fmt.Errorf("number runs of %d jobs: %w", len(names), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	next := map[string]int64{}
	for rows.Next() {
		var name string
		var after int64
		if err := rows.Scan(&name, &after); err != nil {
			return fmt.Errorf("number runs of %d jobs: %w", len(names), err)
		}
		next[name] = after - count[name]
	}
	for _, row := range all {
		row.Run.Number = next[row.Run.Job]
		next[row.Run.Job]++
	}
	return rows.Err()
}
