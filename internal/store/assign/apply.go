package assign

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
)

// assign gives the chosen runs to their workers, in that order, except those that another transaction has locked. Each of its
// statements is for all runs together.
func (k *assignment) assign(ctx context.Context, chosen []choice) error {
	if len(chosen) == 0 {
		return nil
	}
	parameters, err := k.lock(ctx, chosen)
	if err != nil {
		return err
	}
	ids := slices.Collect(maps.Keys(parameters))
	slices.Sort(ids)
	if ids, err = k.leaveReady(ctx, ids); err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, id := range ids {
		taken[id] = true
	}
	var own []choice
	for _, c := range chosen {
		if taken[c.run] {
			own = append(own, c)
			continue
		}
		k.locked[c.run] = true
		k.free[c.group]++ // for no group it has no meaning
	}
	if len(own) == 0 {
		return nil
	}
	if err := k.advance(ctx, own); err != nil {
		return err
	}
	entries, err := takeEntries(ctx, k.t, ids)
	if err != nil {
		return err
	}
	for _, c := range own {
		e, ok := entries[c.run]
		if !ok {
			return fmt.Errorf("take run %s: it has no entry in the queue, or no submission", c.run)
		}
		e.Parameters = parameters[c.run]
		c.of.entries = append(c.of.entries, e)
	}
	return nil
}

// lock locks runs, and returns the parameters of those that no other transaction has locked. A run that cannot be read
// is held.
func (k *assignment) lock(ctx context.Context, chosen []choice) (parameters map[string]map[string]string, err error) {
	skip := ""
	if k.t.Dialect.Postgres {
		skip = k.t.Dialect.Lock + ` SKIP LOCKED`
	}
	ids := make([]string, len(chosen))
	for i, c := range chosen {
		ids[i] = c.run
	}
	table, args := k.t.Dialect.Table(1, db.Column{Texts: ids})
	rows, err := k.t.QueryContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id IN (SELECT c0 FROM `+table+`) ORDER BY id`+skip, args...)
	if err != nil {
		return nil, fmt.Errorf("lock %d runs: %w", len(ids), err)
	}
	found, unreadable, err := tables.ScanRows(rows)
	if err != nil {
		return nil, fmt.Errorf("lock %d runs: %w", len(ids), err)
	}
	for _, bad := range unreadable {
		if err := queue.Hold(ctx, k.t, bad.Run.ID, "its stored document cannot be read"); err != nil {
			return nil, err
		}
	}
	parameters = map[string]map[string]string{}
	for _, row := range found {
		parameters[row.Run.ID] = map[string]string{}
		if s := row.Run.Submitted; s != nil && s.Parameters != nil {
			parameters[row.Run.ID] = s.Parameters
		}
	}
	return parameters, nil
}

// leaveReady removes runs from the ready ones, and returns those that were: another one was canceled, while its row was
// locked, after it was found.
func (k *assignment) leaveReady(ctx context.Context, ids []string) (ready []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	table, args := k.t.Dialect.Table(1, db.Column{Texts: ids})
	ready, err = db.QueryTexts(ctx, k.t, `DELETE FROM queue_ready WHERE run_id IN (SELECT c0 FROM `+table+`) RETURNING run_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("take %d runs: %w", len(ids), err)
	}
	slices.Sort(ready)
	return ready, nil
}

// advance takes the places of runs in their groups, and stores up to which rank runs of their selectors were assigned.
func (k *assignment) advance(ctx context.Context, own []choice) error {
	highest := map[int64]int64{}
	for _, c := range own {
		highest[c.selector] = max(highest[c.selector], c.rank)
		if c.group == "" {
			continue
		}
		if err := groups.TakePlace(ctx, k.t, c.group, c.run); err != nil {
			return err
		}
	}
	for _, selector := range slices.Sorted(maps.Keys(highest)) {
		err := k.t.Queue(ctx, db.Statement{
			Query: `UPDATE queue_selectors SET virtual_time = $2 WHERE id = $1 AND virtual_time < $2`, Args: []any{selector, highest[selector]},
			What: "store the virtual time of the queue",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takeEntries stores that a worker has runs, and returns their entries with their specs.
func takeEntries(ctx context.Context, t *db.Tx, ids []string) (map[string]queue.Entry, error) {
	table, args := t.Dialect.Table(2, db.Column{Texts: ids})
	rows, err := t.QueryContext(ctx, `UPDATE queue_entries SET gate = $1 WHERE run_id IN (SELECT c0 FROM `+table+`)
		RETURNING run_id, attempt, job, definition, group_name, weight, not_before, start_by, held, avoid, memory,
		(SELECT spec FROM submissions s WHERE s.run_id = queue_entries.run_id)`, append([]any{queue.Taken}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("take the entries of %d runs: %w", len(ids), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	entries := make(map[string]queue.Entry, len(ids))
	for rows.Next() {
		var e queue.Entry
		var notBefore, startBy sql.NullInt64
		var avoid string
		var spec []byte
		err := rows.Scan(&e.Run, &e.Attempt, &e.Job, &e.Definition, &e.Group, &e.Weight, &notBefore, &startBy, &e.Held, &avoid, &e.MemoryBytes, &spec)
		if err == nil {
			err = json.Unmarshal(spec, &e.Spec)
		}
		if err != nil {
			return nil, fmt.Errorf("read the entry of run %s: %w", e.Run, err)
		}
		e.NotBefore, e.StartBy, e.Avoid = db.FromNullableMicros(notBefore), db.FromNullableMicros(startBy), slices.Clip(rules.HostsOf(avoid))
		e.Spec.MemoryBytes = cmp.Or(max(e.MemoryBytes, 0), e.Spec.MemoryBytes)
		entries[e.Run] = e
	}
	return entries, rows.Err()
}
