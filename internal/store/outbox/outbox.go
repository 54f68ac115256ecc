package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Announce stores entries that are not about a single run.
func (s *Outbox) Announce(ctx context.Context, entries []outbox.Entry) error {
	return s.AddOutbox(ctx, entries)
}

// Outbox holds notifications, actions and routes.
type Outbox struct {
	*db.DB
	*troubled.Items
	queries     *runs.Queries
	submissions Submissions
	secrets     secrets
}

// Submissions are the submitted runs.
type Submissions interface {
	// RequestAttempt adds, in a transaction that has locked the run, another attempt of a submitted run that has
	// ended to the queue, moves the run to retrying and returns the event. The error is *outbox.NoRetryError if no
	// attempt can follow.
	RequestAttempt(ctx context.Context, t *db.Tx, row *tables.RunRow, by string, now time.Time) (*job.RunEvent, error)
	// AfterEnd does, in a transaction that has locked the run, what follows the end of the attempt that it shows.
	// final says that the attempt cannot report again.
	AfterEnd(ctx context.Context, t *db.Tx, row *tables.RunRow, final bool, now time.Time) (*job.RunEvent, error)
}

// New returns the outbox of a database. It cannot encrypt secrets before OpenSecrets.
func New(d *db.DB, items *troubled.Items, q *runs.Queries, s Submissions) *Outbox {
	return &Outbox{DB: d, Items: items, queries: q, submissions: s}
}

// insertEntries stores entries in the transaction of the change that caused them.
func insertEntries(ctx context.Context, t *db.Tx, entries []outbox.Entry) error {
	for _, e := range entries {
		at := db.Micros(e.At)
		a := api.Action{
			Kind: e.Kind, Run: e.Run, Attempt: e.Attempt, What: index.CleanText(e.What, 100), Severity: e.Severity,
			Message: index.CleanText(e.Message, 2000), By: index.CleanText(e.By, 200), Ends: index.CleanText(e.Ends, 100), Late: e.Late,
		}
		if e.Run == "" {
			a.Job = e.Job
		}
		if err := insertAction(ctx, t, a, at, max(at, db.Micros(e.After))); err != nil {
			return err
		}
	}
	return nil
}

// insertAction stores a pending row.
func insertAction(ctx context.Context, t *db.Tx, a api.Action, created, next int64) error {
	late, err := tables.JSONOrNull(a.Late)
	if err != nil {
		return fmt.Errorf("encode an outbox row (%s %s) of run %s: %w", a.Kind, a.What, a.Run, err)
	}
	_, err = t.ExecContext(ctx, `INSERT INTO outbox (kind, run_id, attempt, what, severity, route, status, tries, next_at,
		created_at, cause, repeats, batch, last_error, message, by_whom, ends, late, job)
		VALUES ($1, $2, $3, $4, $5, $6, 'pending', 0, $7, $8, $9, $10, 0, '', $11, $12, $13, $14, $15)`,
		a.Kind, sql.NullString{String: a.Run, Valid: a.Run != ""}, a.Attempt, a.What, string(a.Severity), a.Route,
		next, created, a.Cause, a.Repeat, a.Message, a.By, a.Ends, late, a.Job)
	if err != nil {
		return fmt.Errorf("store an outbox row (%s %s) of run %s: %w", a.Kind, a.What, a.Run, err)
	}
	return nil
}

// Withdraw drops the notifications of bad ends of a run, up to an attempt, that are not due yet, and
// reports whether there were any.
func Withdraw(ctx context.Context, t *db.Tx, run string, attempt int, why string, now time.Time) (bool, error) {
	withdrawn := false
	for range 2 { // the second time for those that another server was dispatching
		res, err := t.ExecContext(ctx, `UPDATE outbox SET status = 'dropped', last_error = $4, done_at = $3
			WHERE run_id = $1 AND attempt <= $2 AND next_at > $3 AND kind = 'notify' AND what IN ('failed', 'timed_out', 'lost')
			AND status = 'pending' AND batch = 0 AND repeats = 0`, run, attempt, db.Micros(now), why)
		if err != nil {
			return false, fmt.Errorf("withdraw a notification of run %s: %w", run, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return false, fmt.Errorf("withdraw a notification of run %s: %w", run, err)
		}
		withdrawn = withdrawn || n > 0
	}
	return withdrawn, nil
}

// AddOutbox stores entries that no change of a run caused.
func (s *Outbox) AddOutbox(ctx context.Context, entries []outbox.Entry) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error { return insertEntries(ctx, t, entries) })
}

// Actions returns outbox rows, newest first.
func (s *Outbox) Actions(ctx context.Context, q query.Actions) ([]api.Action, error) {
	statement, args := `SELECT `+tables.ActionColumns+` FROM outbox WHERE 1 = 1`, []any{}
	add := func(condition string, value any) {
		args = append(args, value)
		statement += condition + "$" + strconv.Itoa(len(args))
	}
	if q.Run != "" {
		add(` AND run_id = `, q.Run)
	}
	if q.Status != "" {
		add(` AND status = `, q.Status)
	}
	if q.Before > 0 {
		add(` AND id < `, q.Before)
	}
	if !q.Since.IsZero() {
		add(` AND created_at >= `, db.Micros(q.Since))
	}
	if !q.Until.IsZero() {
		add(` AND created_at < `, db.Micros(q.Until))
	}
	statement += ` ORDER BY id DESC LIMIT ` + strconv.Itoa(min(max(q.Limit, 1), 501))
	rows, err := s.Reader.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	actions, err := tables.ScanActions(rows)
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	for i := range actions {
		actions[i].ByPolicy = actions[i].By == job.PolicyAuthor
		actions[i].SentenceTimes = job.TimesIn(actions[i].CreatedAt, actions[i].Message)
	}
	return actions, tables.NameRuns(ctx, s.Reader, s.Dialect, actions)
}

// DueActions returns pending cancels and retries that are due, those that are due longest first.
func (s *Outbox) DueActions(ctx context.Context, now time.Time, limit int) ([]api.Action, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tables.ActionColumns+` FROM outbox
		WHERE status = 'pending' AND route = '' AND kind <> 'notify' AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, db.Micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("read due actions: %w", err)
	}
	actions, err := tables.ScanActions(rows)
	if err != nil {
		return nil, fmt.Errorf("read due actions: %w", err)
	}
	return actions, nil
}

// ActionFailed records that a cancel or a retry failed, so that it is tried again after a pause and does
// not hold up others. If that cannot be stored, it is tried again in the next round.
func (s *Outbox) ActionFailed(ctx context.Context, a api.Action, cause error, now time.Time) error {
	if err := s.Skip(ctx, troubled.Action, a.Run, cause); err != nil {
		return err
	}
	err := s.StoreResults(ctx, []outbox.Result{{
		ID: a.ID, Status: outbox.Pending, Tries: a.Tries + 1, NextAt: now.Add(job.TroublePause(a.Tries + 1)), Error: cause.Error(), At: now,
	}})
	if err != nil {
		return s.Skip(ctx, troubled.Action, a.Run, err)
	}
	return nil
}

// ActionFollowed removes the troubled item of a cancel or a retry.
func (s *Outbox) ActionFollowed(ctx context.Context, a api.Action) {
	s.ClearFailure(ctx, troubled.Action, a.Run)
}

// Dispatch replaces up to limit causes, the oldest first, by one row for each route that to returns. A
// cause without a route is dropped with the reason that to returns. The run is nil for a cause about
// the server. to may be called twice for a cause, and must not use the store. Dispatch returns the
// number of causes.
func (s *Outbox) Dispatch(ctx context.Context, now time.Time, limit int, to func(api.Action, *job.Run) (routes []string, why string)) (int, error) {
	var n int
	// Usually there is none, and a transaction that writes is expensive.
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM outbox
		WHERE status = 'pending' AND route = '' AND kind = 'notify' AND`+troubled.NotPaused(troubled.Notify, "CAST(outbox.id AS TEXT)", 1)+` LIMIT 1) AS causes`, db.Micros(s.Now())).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count notifications: %w", err)
	}
	if n == 0 {
		return 0, nil
	}
	// If a batch fails, smaller ones are tried, until the causes are found that fail alone.
	for some := limit; ; some = max(some/2, 1) {
		var causes []api.Action
		err := s.Write(ctx, db.None, func(t *db.Tx) (err error) {
			causes, err = dispatchSome(ctx, t, now, s.Now(), some, to)
			return err
		})
		switch {
		case err == nil:
			for _, c := range causes {
				s.ClearFailure(ctx, troubled.Notify, strconv.FormatInt(c.ID, 10))
			}
			return len(causes), nil
		case len(causes) != 1:
			if perr := s.Ping(ctx); perr != nil || ctx.Err() != nil || some == 1 {
				return 0, fmt.Errorf("dispatch notifications: %w", errors.Join(err, perr))
			}
		default:
			if err := s.Skip(ctx, troubled.Notify, strconv.FormatInt(causes[0].ID, 10), err); err != nil {
				return 0, fmt.Errorf("dispatch a notification: %w", err)
			}
			some = limit
		}
	}
}

// dispatchSome dispatches up to limit causes and returns them, also if that fails.
func dispatchSome(ctx context.Context, t *db.Tx, now, resting time.Time, limit int, to func(api.Action, *job.Run) ([]string, string)) ([]api.Action, error) {
	// Locked rows are not skipped, so that the messages about a run stay in order.
	rows, err := t.QueryContext(ctx, `SELECT `+tables.ActionColumns+` FROM outbox WHERE status = 'pending' AND route = '' AND kind = 'notify'
		AND`+troubled.NotPaused(troubled.Notify, "CAST(outbox.id AS TEXT)", 1)+` ORDER BY id LIMIT `+strconv.Itoa(limit)+t.Dialect.Lock, db.Micros(resting))
	if err != nil {
		return nil, err
	}
	causes, err := tables.ScanActions(rows)
	if err != nil {
		return nil, err
	}
	for _, c := range causes {
		if err := dispatchOne(ctx, t, now, c, to); err != nil {
			return causes, err
		}
	}
	return causes, nil
}

func dispatchOne(ctx context.Context, t *db.Tx, now time.Time, c api.Action, to func(api.Action, *job.Run) ([]string, string)) error {
	var run *job.Run
	if c.Run != "" {
		row, err := tables.ScanRun(t.QueryRowContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id = $1`, c.Run))
		var bad *query.UnreadableError
		switch {
		case errors.As(err, &bad): // people are notified with what is known of it
			run = &bad.Run
		case err != nil:
			return fmt.Errorf("read run %s: %w", c.Run, err)
		default:
			run = &row.Run
		}
	}
	routes, why := to(c, run)
	if len(routes) == 0 {
		return finishRow(ctx, t, outbox.Result{ID: c.ID, Status: outbox.Dropped, Error: why, At: now})
	}
	for _, route := range routes {
		one := c
		one.Route = route
		if err := insertAction(ctx, t, one, db.Micros(c.CreatedAt), db.Micros(*c.NextAt)); err != nil {
			return err
		}
	}
	_, err := t.ExecContext(ctx, `DELETE FROM outbox WHERE id = $1`, c.ID)
	return err
}

// RouteRows returns the pending rows of a route, the oldest first.
func (s *Outbox) RouteRows(ctx context.Context, route string, limit int) ([]api.Action, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tables.ActionColumns+` FROM outbox
		WHERE status = 'pending' AND route = $1 ORDER BY id LIMIT $2`, route, limit)
	if err != nil {
		return nil, fmt.Errorf("read the rows of route %s: %w", route, err)
	}
	actions, err := tables.ScanActions(rows)
	if err != nil {
		return nil, fmt.Errorf("read the rows of route %s: %w", route, err)
	}
	return actions, nil
}

// StoreResults stores the results of pending rows. A row that is not pending does not change.
func (s *Outbox) StoreResults(ctx context.Context, results []outbox.Result) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		for _, one := range results {
			if err := finishRow(ctx, t, one); err != nil {
				return err
			}
		}
		return nil
	})
}

func finishRow(ctx context.Context, t *db.Tx, one outbox.Result) error {
	done := sql.NullInt64{Int64: db.Micros(one.At), Valid: one.Status != outbox.Pending}
	res, err := t.ExecContext(ctx, `UPDATE outbox SET status = $2, tries = $3, next_at = $4, batch = $5, last_error = $6, done_at = $7
		WHERE id = $1 AND status = 'pending'`,
		one.ID, one.Status, one.Tries, db.Micros(one.NextAt), one.Batch, index.CleanText(one.Error, 1000), done)
	if err != nil {
		return fmt.Errorf("store the result of outbox row %d: %w", one.ID, err)
	}
	if one.Again.IsZero() {
		return nil
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = t.ExecContext(ctx, `INSERT INTO outbox (kind, run_id, attempt, what, severity, route, status, tries, next_at,
		created_at, cause, repeats, batch, last_error, message, by_whom, ends, late, job)
		SELECT kind, run_id, attempt, what, severity, route, 'pending', 0, CAST($2 AS BIGINT), created_at,
		CASE WHEN cause = 0 THEN id ELSE cause END, repeats + 1, 0, '', message, by_whom, ends, late, job FROM outbox WHERE id = $1`,
		one.ID, db.Micros(one.Again))
	if err != nil {
		return fmt.Errorf("repeat outbox row %d: %w", one.ID, err)
	}
	return nil
}

// TidyOutbox drops pending rows of deleted routes, and deletes up to limit rows that were finished before
// a time.
func (s *Outbox) TidyOutbox(ctx context.Context, now, before time.Time, limit int) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `UPDATE outbox SET status = 'dropped', last_error = 'the route was deleted', done_at = $1
			WHERE status = 'pending' AND route <> '' AND route NOT IN (SELECT name FROM routes)`, db.Micros(now))
		if err != nil {
			return fmt.Errorf("drop the rows of deleted routes: %w", err)
		}
		_, err = t.ExecContext(ctx, `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox
			WHERE status <> 'pending' AND done_at < $1 ORDER BY done_at LIMIT $2)`, db.Micros(before), limit)
		if err != nil {
			return fmt.Errorf("delete old outbox rows: %w", err)
		}
		return nil
	})
}
