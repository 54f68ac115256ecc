package queue

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/job"
)

// Enqueue adds an attempt of a submitted run to the queue, or replaces one that waits there. The
// transaction has locked the row of the run.
func Enqueue(ctx context.Context, t *db.Tx, e Entry) error {
	var selector string
	err := t.QueryRowContext(ctx, `SELECT job, definition, selector, group_name, weight FROM submissions WHERE run_id = $1`, e.Run).
		Scan(&e.Job, &e.Definition, &selector, &e.Group, &e.Weight)
	if errors.Is(err, sql.ErrNoRows) {
		return &query.NotFoundError{What: "the submission of run " + e.Run}
	}
	if err != nil {
		return fmt.Errorf("read the submission of run %s: %w", e.Run, err)
	}
	if selector, err = withMemory(selector, e.MemoryBytes); err != nil {
		return fmt.Errorf("read what run %s asks of a worker: %w", e.Run, err)
	}
	if err := Leave(ctx, t, e.Run); err != nil {
		return err
	}
	return join(ctx, t, []joining{{Entry: e, selector: selector}})
}

// joining is an attempt that joins the queue.
type joining struct {
	Entry
	selector string           // its text
	after    []job.Dependency // runs that must end first

	of   int64 // the row of the selector
	rank int64
	gate string
}

// join adds attempts to the queue: each gets its rank, and is ready if it waits for nothing. A run of a group waits for
// the matcher, which knows whether there is a place.
func join(ctx context.Context, t *db.Tx, all []joining) error {
	if err := rank(ctx, t, all); err != nil {
		return err
	}
	if err := closeGates(ctx, t, all); err != nil {
		return err
	}
	if err := insertEntries(ctx, t, all); err != nil {
		return err
	}
	raises := false
	for _, e := range all {
		for _, d := range e.after {
			err := t.Queue(ctx, db.Statement{
				Query: `INSERT INTO queue_after (run_id, needs, how) VALUES ($1, $2, $3)`, Args: []any{e.Run, d.Run, d.When},
				What: fmt.Sprintf("store that run %s waits for run %s", e.Run, d.Run),
			})
			if err != nil {
				return err
			}
		}
		raises = raises || e.gate == ready
		if e.gate == string(rules.Full) {
			t.OnCommit(t.Signals.Match.Raise)
		}
	}
	if raises {
		return t.RaiseReady(ctx)
	}
	return nil
}

// closeGates finds the first closed gate of each attempt.
func closeGates(ctx context.Context, t *db.Tx, all []joining) error {
	jobs := map[string]bool{}
	for _, e := range all {
		if e.Definition != "" {
			jobs[e.Job] = true
		}
	}
	paused, err := pausedOf(ctx, t, slices.Sorted(maps.Keys(jobs)))
	if err != nil {
		return err
	}
	for i := range all {
		e := &all[i]
		e.gate = ready
		w := rules.Waits{
			Held: e.Held != "", Unmet: len(e.after), NotBefore: e.NotBefore, Paused: e.Definition != "" && slices.Contains(paused, e.Job), GroupFull: e.Group != "",
		}
		if closed := rules.Closed(w, t.Now()); len(closed) > 0 {
			e.gate = string(closed[0])
		}
	}
	return nil
}

// pausedOf returns those of some jobs that are paused.
func pausedOf(ctx context.Context, t *db.Tx, jobs []string) ([]string, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: jobs})
	paused, err := db.QueryTexts(ctx, t, `SELECT job FROM definitions WHERE paused_at IS NOT NULL AND job IN (SELECT c0 FROM `+table+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read which of %d jobs are paused: %w", len(jobs), err)
	}
	return paused, nil
}

func insertEntries(ctx context.Context, t *db.Tx, all []joining) error {
	var runs, jobs, definitions, groups, gates, helds, avoids []string
	var attempts, selectors, weights, ranks, notBefore, startBy, memory, waits []int64
	now := db.Micros(t.Now())
	for _, e := range all {
		since := now
		if e.gate != ready && !rules.Gate(e.gate).Counts() {
			since = db.Never
		}
		runs, jobs, definitions, groups = append(runs, e.Run), append(jobs, e.Job), append(definitions, e.Definition), append(groups, e.Group)
		gates, helds, avoids = append(gates, e.gate), append(helds, e.Held), append(avoids, rules.HostsText(e.Avoid))
		attempts, selectors, weights, ranks = append(attempts, int64(e.Attempt)), append(selectors, e.of), append(weights, e.Weight), append(ranks, e.rank)
		notBefore, startBy = append(notBefore, db.MicrosOrNever(e.NotBefore)), append(startBy, db.MicrosOrNever(e.StartBy))
		memory, waits = append(memory, e.MemoryBytes), append(waits, since)
	}
	text := func(all []string) db.Column { return db.Column{Texts: all} }
	number := func(all []int64) db.Column { return db.Column{Numbers: all} }
	columns := []db.Column{
		text(runs), number(attempts), text(jobs), text(definitions), number(selectors), text(groups), number(weights), number(ranks), text(gates),
		number(notBefore), number(startBy), text(helds), text(avoids), number(memory), number(waits),
	}
	table, args := t.Dialect.Table(3, columns...)
	err := t.Queue(ctx, db.Statement{What: fmt.Sprintf("queue %d runs", len(all)), Args: append([]any{now, db.Never}, args...), Query: `INSERT INTO queue_entries
			(run_id, attempt, job, definition, selector, group_name, weight, rank, gate, queued_at, not_before, start_by, held, avoid, memory, waits_since)
		SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, CAST($1 AS BIGINT), NULLIF(c9, $2), NULLIF(c10, $2), c11, c12, c13, NULLIF(c14, $2) FROM ` + table})
	if err != nil {
		return err
	}
	// The rows are not read from queue_entries: PostgreSQL may have planned that when the table was empty.
	table, args = t.Dialect.Table(1, columns...)
	return t.Queue(ctx, db.Statement{What: fmt.Sprintf("make %d runs ready", len(all)), Args: args, Query: `INSERT INTO queue_ready (selector, rank, run_id, job, group_name, weight, avoid, work)
		SELECT c4, c7, c0, c2, c5, c6, c12, CASE WHEN c3 = '' THEN c2 ELSE c3 END FROM ` + table + ` WHERE c8 = '` + ready + `'`})
}

// withMemory returns a selector for an attempt with a memory limit of its own; 0 for that of the spec.
func withMemory(text string, limit int64) (string, error) {
	if limit <= 0 {
		return text, nil
	}
	var s rules.Selector
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return "", err
	}
	s.Memory = limit
	return s.Text()
}

// selectorRow is a row of queue_selectors.
type selectorRow struct{ id, virtual int64 }

// findSelector returns the row of a selector, which it makes if there is none.
func findSelector(ctx context.Context, t *db.Tx, text string) (row selectorRow, err error) {
	keep := ""
	if t.Dialect.Postgres {
		keep = ` FOR KEY SHARE` // see TidyQueue of package matcher
	}
	for {
		err = t.QueryRowContext(ctx, `SELECT id, virtual_time FROM queue_selectors WHERE selector = $1`+keep, text).Scan(&row.id, &row.virtual)
		if err == nil {
			return row, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return row, fmt.Errorf("read a selector of the queue: %w", err)
		}
		_, err = t.ExecContext(ctx, `INSERT INTO queue_selectors (selector, virtual_time) VALUES ($1, 0) ON CONFLICT DO NOTHING`, text)
		if err != nil {
			return row, fmt.Errorf("store a selector of the queue: %w", err)
		}
	}
}

// nextRank returns the rank of a run that joins a lane, and stores that of the next one.
func nextRank(ctx context.Context, t *db.Tx, of selectorRow, lane string, weight int64) (int64, error) {
	one := []joining{{Entry: Entry{Job: lane, Weight: weight}, of: of.id}}
	err := rankIn(ctx, t, one, map[int64]int64{of.id: of.virtual})
	return one[0].rank, err
}

// rank ranks attempts that join the queue, in their order.
func rank(ctx context.Context, t *db.Tx, all []joining) error {
	rows, virtual := map[string]selectorRow{}, map[int64]int64{}
	texts := map[string]bool{}
	for _, e := range all {
		texts[e.selector] = true
	}
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		row, err := findSelector(ctx, t, text)
		if err != nil {
			return err
		}
		rows[text], virtual[row.id] = row, row.virtual
	}
	for i := range all {
		all[i].of = rows[all[i].selector].id
	}
	return rankIn(ctx, t, all, virtual)
}

// lane is a key of queue_lanes.
type lane struct {
	selector int64
	name     string
}

// rankIn is rank of attempts whose selectors are known with their virtual times.
func rankIn(ctx context.Context, t *db.Tx, all []joining, virtual map[int64]int64) error {
	next := map[lane]int64{}
	for _, e := range all {
		next[lane{e.of, e.Job}] = 0
	}
	// In one order, so that servers do not wait for each other in a circle.
	lanes := slices.SortedFunc(maps.Keys(next), func(a, b lane) int { return cmp.Or(cmp.Compare(a.selector, b.selector), cmp.Compare(a.name, b.name)) })
	if err := readLanes(ctx, t, lanes, next); err != nil {
		return fmt.Errorf("read %d lanes of the queue: %w", len(lanes), err)
	}
	for i := range all {
		e := &all[i]
		of := lane{e.of, e.Job}
		e.rank, next[of] = rules.Rank(next[of], virtual[e.of], e.Weight)
	}
	columns := lanesTable(lanes)
	var following []int64
	for _, l := range lanes {
		following = append(following, next[l])
	}
	table, args := t.Dialect.Table(1, append(columns, db.Column{Numbers: following})...)
	return t.Queue(ctx, db.Statement{What: fmt.Sprintf("store %d lanes of the queue", len(lanes)), Args: args, Query: `INSERT INTO queue_lanes (selector, lane, next) SELECT c0, c1, c2 FROM ` + table + ` WHERE true
		ON CONFLICT (selector, lane) DO UPDATE SET next = excluded.next`})
}

func lanesTable(lanes []lane) []db.Column {
	var selectors []int64
	var names []string
	for _, l := range lanes {
		selectors, names = append(selectors, l.selector), append(names, l.name)
	}
	return []db.Column{{Numbers: selectors}, {Texts: names}}
}

// readLanes reads the ranks of the next runs of lanes, and locks their rows.
func readLanes(ctx context.Context, t *db.Tx, lanes []lane, next map[lane]int64) error {
	table, args := t.Dialect.Table(1, lanesTable(lanes)...)
	rows, err := t.QueryContext(ctx, `SELECT selector, lane, next FROM queue_lanes WHERE (selector, lane) IN (SELECT c0, c1 FROM `+table+`) ORDER BY selector, lane`+t.Dialect.Lock, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var l lane
		var n int64
		if err := rows.Scan(&l.selector, &l.name, &n); err != nil {
			return err
		}
		next[l] = n
	}
	return rows.Err()
}

// admit finds out what a run that is not ready waits for, and makes it ready if that is nothing. A run
// of a group waits for the matcher, which knows that there is a place. It does nothing for a run that is
// not in the queue.
func admit(ctx context.Context, t *db.Tx, run string, hasPlace bool) error {
	var held, group string
	var notBefore sql.NullInt64
	w := rules.Waits{}
	var paused int
	err := t.QueryRowContext(ctx, `SELECT held, group_name, not_before, (SELECT COUNT(*) FROM queue_after WHERE run_id = e.run_id),
		(SELECT COUNT(*) FROM definitions d WHERE d.job = e.job AND d.paused_at IS NOT NULL AND e.definition <> '')
		FROM queue_entries e WHERE run_id = $1`, run).Scan(&held, &group, &notBefore, &w.Unmet, &paused)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what run %s waits for: %w", run, err)
	}
	w.Held, w.Paused, w.GroupFull, w.NotBefore = held != "", paused > 0, group != "" && !hasPlace, db.FromNullableMicros(notBefore)
	gate, wait := ready, waitCounts
	if closed := rules.Closed(w, t.Now()); len(closed) > 0 {
		gate = string(closed[0])
	}
	if gate != ready && !rules.Gate(gate).Counts() {
		wait = waitStops
	}
	if _, err := t.ExecContext(ctx, `UPDATE queue_entries SET gate = $2, `+wait+` WHERE run_id = $1`, run, gate, db.Micros(t.Now())); err != nil {
		return fmt.Errorf("store what run %s waits for: %w", run, err)
	}
	switch gate {
	case ready:
		return insertReady(ctx, t, run)
	case string(rules.Full):
		t.OnCommit(t.Signals.Match.Raise)
	}
	return nil
}

// insertReady makes an entry ready.
func insertReady(ctx context.Context, t *db.Tx, run string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO queue_ready (selector, rank, run_id, job, group_name, weight, avoid, work)
		SELECT selector, rank, run_id, job, group_name, weight, avoid, CASE WHEN definition = '' THEN job ELSE definition END
		FROM queue_entries WHERE run_id = $1`, run)
	if err != nil {
		return fmt.Errorf("make run %s ready: %w", run, err)
	}
	return t.RaiseReady(ctx)
}

// Return puts an attempt back whose claim ended without a permit. It has its old rank. It does
// nothing if no worker has it.
func Return(ctx context.Context, t *db.Tx, run string) error {
	var n int
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM queue_entries WHERE run_id = $1 AND gate = $2`, run, Taken).Scan(&n)
	if err != nil {
		return fmt.Errorf("read the place of run %s in the queue: %w", run, err)
	}
	if n == 0 {
		return nil
	}
	if err := groups.FreePlace(ctx, t, run); err != nil {
		return err
	}
	return admit(ctx, t, run, false)
}

// Leave removes a run from the queue, and the claim of it: it got its permit, or waits no more. Its place in
// its group stays. It does nothing if the run is not in the queue.
func Leave(ctx context.Context, t *db.Tx, run string) error {
	return t.Queue(ctx, db.Statement{Query: `DELETE FROM queue_entries WHERE run_id = $1`, Args: []any{run}, What: "remove run " + run + " from the queue"})
}

// Ended lets the runs be judged that wait for the end of a run.
func Ended(ctx context.Context, t *db.Tx, run string) error {
	var waits int
	some, err := t.Once(ctx, `SELECT 1 FROM queue_after LIMIT 1`) // for most ends none waits for any run
	if err == nil && some {
		err = t.ReadRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM queue_after WHERE needs = $1 LIMIT 1) AS one`, []any{run}, &waits)
	}
	if err != nil {
		return fmt.Errorf("read what waits for run %s: %w", run, err)
	}
	if waits > 0 {
		t.OnCommit(func() { t.Signals.AddEnded(run) })
	}
	return nil
}

// Met removes the dependencies of runs on one that has ended as they need it.
func Met(ctx context.Context, t *db.Tx, needed string, runs []string) error {
	table, args := t.Dialect.Table(1, db.Column{Texts: runs})
	ids, err := db.QueryTexts(ctx, t, `SELECT id FROM runs WHERE id IN (SELECT c0 FROM `+table+`) ORDER BY id`+t.Dialect.Lock, args...)
	if err != nil {
		return fmt.Errorf("lock what waits for run %s: %w", needed, err)
	}
	for _, run := range ids {
		if _, err := t.ExecContext(ctx, `DELETE FROM queue_after WHERE run_id = $1 AND needs = $2`, run, needed); err != nil {
			return fmt.Errorf("store that run %s does not wait for run %s any more: %w", run, needed, err)
		}
		var gate string
		err := t.QueryRowContext(ctx, `SELECT gate FROM queue_entries WHERE run_id = $1`, run).Scan(&gate)
		if err == nil && gate == string(rules.After) {
			err = admit(ctx, t, run, false)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the place of run %s in the queue: %w", run, err)
		}
	}
	return nil
}
