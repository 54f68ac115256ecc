package runs

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/jobnames"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// overview reads an overview in one transaction, so that it is consistent.
type overview struct {
	*sql.Tx
	store   *Queries
	query   query.Overview
	out     api.Overview
	skipped []*query.UnreadableError
}

// Overview returns an overview of all runs and jobs. The error is *job.InvalidError for a cursor that this
// server did not return.
func (s *Queries) Overview(ctx context.Context, q query.Overview) (api.Overview, error) {
	q.Limit = min(max(q.Limit, 1), jobnames.MostOnPage)
	isolation := sql.LevelDefault // SQLite reads one state of the database in each transaction
	if s.Dialect.Postgres {
		isolation = sql.LevelRepeatableRead
	}
	t, err := s.Reader.BeginTx(ctx, &sql.TxOptions{Isolation: isolation, ReadOnly: true})
	if err != nil {
		return api.Overview{}, fmt.Errorf("read the overview: %w", err)
	}
	o := &overview{Tx: t, store: s, query: q, out: api.Overview{
		At:        q.Now.UTC(),
		Attention: api.Attention{Runs: []api.OverviewRun{}},
		Active:    api.ActiveRuns{Runs: []api.OverviewRun{}},
		Waiting:   api.WaitingRuns{Runs: []api.OverviewRun{}},
		Jobs:      api.JobDays{Jobs: []api.JobDay{}},
		Findings:  []api.JobFinding{},
	}}
	err = o.read(ctx)
	if rerr := t.Rollback(); err == nil && rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
		err = rerr
	}
	s.RecordUnreadable(ctx, troubled.Run, o.skipped)
	if err != nil {
		return api.Overview{}, fmt.Errorf("read the overview: %w", err)
	}
	return o.out, nil
}

func (o *overview) read(ctx context.Context) error {
	first := o.query.AttentionCursor == "" && o.query.JobsCursor == ""
	troubles, err := o.attention(ctx, first || o.query.AttentionCursor != "")
	if err != nil {
		return err
	}
	if err := o.active(ctx, first); err != nil {
		return err
	}
	if err := o.waiting(ctx, first); err != nil {
		return err
	}
	if first {
		if err := o.findings(ctx); err != nil {
			return err
		}
	}
	names, err := o.jobNames(ctx, first || o.query.JobsCursor != "")
	if err != nil {
		return err
	}
	return o.jobs(ctx, names, troubles)
}

// lastDecided selects, for each job, the last run of those that succeeded or ended badly, if it ended badly.
// It reads only an index, from its end for each job. The condition on states is written so that no other
// index is used, because that would need a sort.
const lastDecided = `SELECT r.id, r.attempt, r.state, r.health, r.acknowledged, r.start_at, r.started_at, r.ended_at, r.reported_at FROM jobs j CROSS JOIN runs r
	WHERE r.id = (SELECT last.id FROM (SELECT id, state FROM runs WHERE job = j.name
		AND (state IN ('succeeded', 'failed', 'timed_out', 'lost')) IS TRUE ORDER BY start_at DESC, id DESC LIMIT 1) AS last
		WHERE last.state <> 'succeeded')`

// unhealthyRuns selects the active runs that are not healthy, waitingRuns those in the queue that have a finding.
const (
	unhealthyRuns = `SELECT id, attempt, state, health, acknowledged, start_at, started_at, ended_at, reported_at FROM runs
		WHERE leased = 1 AND health IN ('warning', 'critical')`
	waitingRuns = `SELECT id, attempt, state, health, acknowledged, start_at, started_at, ended_at, reported_at FROM runs
		WHERE leased = 0 AND health <> ''`
)

// attention counts the runs that need attention and, if list is set, reads a page of them.
func (o *overview) attention(ctx context.Context, list bool) ([]api.OverviewRun, error) {
	var all []query.Trouble
	for _, query := range []string{lastDecided, unhealthyRuns, waitingRuns} {
		some, err := o.troubles(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("select runs that need attention: %w", err)
		}
		all = append(all, some...)
	}
	out := &o.out.Attention
	listed := all[:0]
	for _, t := range all {
		old := t.Old(o.query.Now)
		switch {
		case old && !t.Acknowledged:
			out.Older++
		case old:
		case t.Acknowledged:
			out.Acknowledged++
		default:
			out.Count++
		}
		if old == o.query.Older {
			listed = append(listed, t)
		}
	}
	if !list {
		return nil, nil
	}
	slices.SortFunc(listed, query.CompareTroubles)
	if o.query.AttentionCursor != "" {
		last, err := query.TroubleOf(o.query.AttentionCursor)
		if err != nil {
			return nil, err
		}
		at, _ := slices.BinarySearchFunc(listed, last, func(t, last query.Trouble) int {
			if c := query.CompareTroubles(t, last); c != 0 {
				return c
			}
			return -1 // after it
		})
		listed = listed[at:]
	}
	if len(listed) > o.query.Limit {
		listed = listed[:o.query.Limit]
		next := listed[len(listed)-1].Cursor()
		out.NextCursor = &next
	}
	ids := make([]string, len(listed))
	for i, t := range listed {
		ids[i] = t.Run
	}
	runs, err := o.runs(ctx, ids)
	if err != nil {
		return nil, err
	}
	out.Runs = runs
	return runs, nil
}

// troubles reads the rows of lastDecided or unhealthyRuns.
func (o *overview) troubles(ctx context.Context, statement string) ([]query.Trouble, error) {
	rows, err := o.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []query.Trouble
	for rows.Next() {
		var t query.Trouble
		var attempt, acknowledged int
		var start, lastSign int64
		var started, ended sql.NullInt64
		if err := rows.Scan(&t.Run, &attempt, &t.State, &t.Health, &acknowledged, &start, &started, &ended, &lastSign); err != nil {
			return nil, err
		}
		t.Acknowledged, t.At = acknowledged == 1, db.FromMicros(start)
		if t.State.Terminal() {
			t.At = query.EndOnServer(attempt, t.At, db.FromNullableMicros(started), db.FromNullableMicros(ended), db.FromMicros(lastSign), o.query.Now)
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// runs returns runs in the order of ids. A run whose document cannot be read has the values of its columns.
func (o *overview) runs(ctx context.Context, ids []string) ([]api.OverviewRun, error) {
	if len(ids) == 0 {
		return []api.OverviewRun{}, nil
	}
	table, args := o.store.Dialect.Table(1, db.Column{Texts: ids})
	found, err := o.shortRuns(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id IN (SELECT c0 FROM `+table+`)`, args...)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]api.OverviewRun, len(found))
	for _, r := range found {
		byID[r.ID] = r
	}
	out := make([]api.OverviewRun, 0, len(ids))
	for _, id := range ids {
		if r, ok := byID[id]; ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// shortRuns returns the runs of a query of RunColumns. Those that cannot be read come last.
func (o *overview) shortRuns(ctx context.Context, statement string, args ...any) ([]api.OverviewRun, error) {
	rows, err := o.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	found, skipped, err := tables.ScanRuns(rows)
	if err != nil {
		return nil, err
	}
	o.skipped = append(o.skipped, skipped...)
	for _, bad := range skipped {
		found = append(found, bad.Run)
	}
	out := make([]api.OverviewRun, len(found))
	for i := range found {
		run := o.store.ForReader(found[i])
		out[i] = query.ShortRun(&run)
	}
	return out, nil
}

// active counts the runs on which an agent works and, if list is set, reads those that started last.
func (o *overview) active(ctx context.Context, list bool) error {
	rows, err := o.QueryContext(ctx, `SELECT health, COUNT(*) FROM `+o.store.Dialect.RunsIndexedBy("runs_leased")+` WHERE leased = 1 GROUP BY health`)
	if err != nil {
		return fmt.Errorf("count active runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	out := &o.out.Active
	for rows.Next() {
		var health job.Health
		var n int64
		if err := rows.Scan(&health, &n); err != nil {
			return fmt.Errorf("count active runs: %w", err)
		}
		out.Count += n
		switch health {
		case job.Healthy:
			out.Healthy += n
		case job.Warning:
			out.Warning += n
		case job.Critical:
			out.Critical += n
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count active runs: %w", err)
	}
	if !list || out.Count == 0 {
		return nil
	}
	out.Runs, err = o.newest(ctx, job.State.Active, query.OverviewActive)
	return err
}

// waiting counts the runs that no agent works on yet and, if list is set, reads the newest.
func (o *overview) waiting(ctx context.Context, list bool) error {
	out := &o.out.Waiting
	err := o.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM runs WHERE state = 'queued') + (SELECT COUNT(*) FROM runs WHERE state = 'retrying')`).Scan(&out.Count)
	if err != nil {
		return fmt.Errorf("count waiting runs: %w", err)
	}
	if !list || out.Count == 0 {
		return nil
	}
	waits := func(s job.State) bool { return !s.Terminal() && !s.Active() }
	out.Runs, err = o.newest(ctx, waits, query.OverviewWaiting)
	return err
}

// newest reads the runs in some states that started last, or were queued last.
func (o *overview) newest(ctx context.Context, in func(job.State) bool, most int) ([]api.OverviewRun, error) {
	states := slices.DeleteFunc(job.States(), func(s job.State) bool { return !in(s) })
	statement, args, err := runsQuery(query.Runs{States: states}, most)
	if err != nil {
		return nil, err
	}
	found, err := o.shortRuns(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("list active or waiting runs: %w", err)
	}
	slices.SortStableFunc(found, func(a, b api.OverviewRun) int {
		return cmp.Or(b.StartAt.Compare(a.StartAt), strings.Compare(b.ID, a.ID))
	})
	return found, nil
}
