package health

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// Health stores what runs are judged by, and the verdicts.
type Health struct {
	*db.DB
	*troubled.Items
	submissions Submissions // nil for a store without a queue
}

// Submissions are the submitted runs.
type Submissions interface {
	// AfterEnd does, in a transaction that has locked the run, what follows the end of the attempt that it
	// shows. If another attempt follows, it moves the run to retrying and returns the event.
	AfterEnd(ctx context.Context, t *db.Tx, row *tables.RunRow, final bool, now time.Time) (*job.RunEvent, error)
	// KnownWorkers returns the workers that live or have lived.
	KnownWorkers(ctx context.Context) ([]queue.KnownWorker, error)
	// EndedClaims returns how many claims ended without a start since the server began.
	EndedClaims() (released, overdue int64)
}

// New returns the Health of a database. q are the submitted runs; nil for a store without a queue.
func New(d *db.DB, items *troubled.Items, q Submissions) *Health {
	return &Health{DB: d, Items: items, submissions: q}
}

// leaseColumns are the columns of a lease. The document is read only of runs that have findings, which are
// in it.
const leaseColumns = `id, attempt, COALESCE((SELECT token_id FROM run_owners WHERE run_id = runs.id), ''), job, number, start_at, state, health, reported_at, beat_at, lease_us, expires_at, period_us,
	disconnected_at, disconnect_confirm_us, status, beat, evidence, CASE WHEN health IN ('warning', 'critical') THEN doc END`

// dueQuery selects the runs of Due, each part of them off an index of its own.
const dueQuery = `SELECT ` + leaseColumns + ` FROM runs WHERE id IN (
		SELECT id FROM (SELECT id FROM runs WHERE leased = 1 AND expires_at < $1 ORDER BY expires_at LIMIT $2) AS ends
		UNION SELECT id FROM (SELECT id FROM runs WHERE leased = 1 AND health IN ('warning', 'critical') LIMIT $2) AS found
		UNION SELECT id FROM (SELECT id FROM runs WHERE leased = 1 AND disconnected_at > 0 LIMIT $2) AS gone)
	ORDER BY expires_at LIMIT $2`

// Due returns the active runs whose lease ends before the given time, the first ones first, and those
// that have a finding, which may have ended, or whose connection closed. It leaves out runs whose row
// cannot be read.
func (s *Health) Due(ctx context.Context, before time.Time, limit int) ([]lease.Lease, error) {
	leases, _, _, err := s.leasesOf(ctx, dueQuery, db.Micros(before), limit)
	return leases, err
}

// activeQuery selects the runs of Active.
const activeQuery = `SELECT ` + leaseColumns + ` FROM runs
	WHERE leased = 1 AND health = 'healthy' AND (start_at, id) > ($1, $2) ORDER BY start_at, id LIMIT $3`

// Active returns a page of the healthy active runs in the order of their starts, and the cursor of the
// next page; empty if there are no more. after is the cursor of the page, "" for the first one.
func (s *Health) Active(ctx context.Context, after string, limit int) (leases []lease.Lease, last string, err error) {
	at, id := int64(math.MinInt64), ""
	if after != "" {
		if at, id, err = runs.ReadCursor(after); err != nil {
			return nil, "", fmt.Errorf("read leases: %w", err)
		}
	}
	leases, rows, last, err := s.leasesOf(ctx, activeQuery, at, id, limit)
	if rows < limit {
		last = ""
	}
	return leases, last, err
}

// Leases returns the leases of those of the runs that are active.
func (s *Health) Leases(ctx context.Context, runs []string) ([]lease.Lease, error) {
	table, args := s.Dialect.Table(1, db.Column{Texts: runs})
	leases, _, _, err := s.leasesOf(ctx, leasesQuery(table), args...)
	return leases, err
}

// ResetLeases makes the leases of those of some runs that were granted by a clock that was ahead begin now.
func (s *Health) ResetLeases(ctx context.Context, runs []string, now time.Time) error {
	err := s.Write(ctx, db.Runs(runs...), func(t *db.Tx) error {
		table, args := t.Dialect.Table(3, db.Column{Texts: runs})
		_, err := t.ExecContext(ctx, `UPDATE runs SET reported_at = $1, expires_at = $1 + lease_us, beat_at = CASE WHEN beat_at > $1 THEN $1 ELSE beat_at END
			WHERE leased = 1 AND reported_at > $2 AND id IN (SELECT c0 FROM `+table+`)`,
			append([]any{db.Micros(now), db.Micros(clock.LatestNow(now))}, args...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("let the leases of %d runs begin now, because the clock was set back: %w", len(runs), err)
	}
	return nil
}

// leasesQuery returns the query of Leases for ids in a table.
func leasesQuery(table string) string {
	return `SELECT ` + leaseColumns + ` FROM runs WHERE leased = 1 AND id IN (SELECT c0 FROM ` + table + `)`
}

// leasesOf reads the leases of a query, without those that cannot be read. read counts all rows, and last
// is the cursor of the last row; empty for none.
func (s *Health) leasesOf(ctx context.Context, query string, args ...any) (leases []lease.Lease, read int, last string, err error) {
	if err := s.FlushHeartbeats(ctx); err != nil {
		return nil, 0, "", fmt.Errorf("read leases: %w", err)
	}
	rows, err := s.Reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, 0, "", fmt.Errorf("read leases: %w", err)
	}
	leases, skipped, last, err := scanLeases(rows)
	if err != nil {
		return nil, 0, "", fmt.Errorf("read leases: %w", err)
	}
	s.RecordUnreadable(ctx, troubled.Lease, skipped)
	for _, l := range leases {
		s.ClearFailure(ctx, troubled.Lease, l.Run)
	}
	return leases, len(leases) + len(skipped), last, nil
}

// scanLeases reads the leases of a query and closes it. Rows that cannot be read are returned in skipped.
func scanLeases(rows *sql.Rows) (leases []lease.Lease, skipped []*query.UnreadableError, last string, err error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	leases = []lease.Lease{}
	for rows.Next() {
		l, err := scanLease(rows)
		var bad *query.UnreadableError
		switch {
		case errors.As(err, &bad):
			skipped = append(skipped, bad)
		case err != nil:
			return nil, nil, "", err
		default:
			leases = append(leases, l)
		}
		last = runs.CursorOf(db.Micros(l.StartAt), l.Run) // also for a row that is skipped
	}
	return leases, skipped, last, rows.Err()
}

// ActiveRuns returns the number of active runs of each owner; those without one are under "".
func (s *Health) ActiveRuns(ctx context.Context) (map[string]int, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT COALESCE(o.token_id, ''), COUNT(*) FROM runs
		LEFT JOIN run_owners o ON o.run_id = runs.id WHERE runs.leased = 1 GROUP BY 1`)
	if err != nil {
		return nil, fmt.Errorf("count active runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	active := map[string]int{}
	for rows.Next() {
		var owner string
		var n int
		if err := rows.Scan(&owner, &n); err != nil {
			return nil, fmt.Errorf("count active runs: %w", err)
		}
		active[owner] = n
	}
	return active, rows.Err()
}

// Lease returns the lease of a run, whether it is active or not, or *query.NotFoundError.
func (s *Health) Lease(ctx context.Context, run string) (lease.Lease, error) {
	if err := s.FlushHeartbeats(ctx); err != nil {
		return lease.Lease{}, fmt.Errorf("read the lease of run %s: %w", run, err)
	}
	l, err := scanLease(s.Reader.QueryRowContext(ctx, `SELECT `+leaseColumns+` FROM runs WHERE id = $1`, run))
	if errors.Is(err, sql.ErrNoRows) {
		return l, &query.NotFoundError{What: "run " + job.Quote(run)}
	}
	if err != nil {
		return l, fmt.Errorf("read the lease of run %s: %w", run, err)
	}
	return l, nil
}

func scanLease(from db.Scanner) (lease.Lease, error) {
	var l lease.Lease
	var state, health string
	var start, lastSign, length, expires, period, closed, confirm int64
	var beatAt sql.NullInt64
	var beat, evidence, doc []byte
	err := from.Scan(&l.Run, &l.Attempt, &l.Owner, &l.Job, &l.Number, &start, &state, &health, &lastSign, &beatAt, &length, &expires, &period,
		&closed, &confirm, &l.Status, &beat, &evidence, &doc)
	if err != nil {
		return l, err
	}
	l.State, l.Health = job.State(state), job.Health(health)
	l.StartAt, l.ReportedAt, l.ExpiresAt = db.FromMicros(start), db.FromMicros(lastSign), db.FromMicros(expires)
	l.Length, l.EveryPeriod = time.Duration(length)*time.Microsecond, time.Duration(period)*time.Microsecond
	if closed > 0 {
		l.Closed = lease.Closure{At: db.FromMicros(closed), Confirm: time.Duration(confirm) * time.Microsecond}
	}
	if len(evidence) > 0 {
		if err := json.Unmarshal(evidence, &l.Evidence); err != nil {
			return l, &query.UnreadableError{Run: job.Run{ID: l.Run}, What: "the stored evidence", Cause: err}
		}
	}
	if len(beat) > 0 && beatAt.Valid {
		l.Beat, l.BeatAt = &job.Heartbeat{}, db.FromMicros(beatAt.Int64)
		if err := json.Unmarshal(beat, l.Beat); err != nil {
			return l, &query.UnreadableError{Run: job.Run{ID: l.Run}, What: "the stored heartbeat", Cause: err}
		}
	}
	if len(doc) > 0 {
		var found struct {
			Findings []job.Finding `json:"findings"`
		}
		if err := json.Unmarshal(doc, &found); err != nil {
			return l, &query.UnreadableError{Run: job.Run{ID: l.Run}, What: "the stored document", Cause: err}
		}
		l.Findings = found.Findings
	}
	return l, nil
}

// NoteClosed stores connections that closed, for the server that judges. A failure affects only its run.
func (s *Health) NoteClosed(ctx context.Context, closed []lease.ClosedRun) error {
	closed = troubled.ByRun(closed, func(c lease.ClosedRun) string { return c.Run })
	return troubled.Isolate(ctx, s.DB, closed, func(some []lease.ClosedRun) error { return s.noteClosed(ctx, some) },
		func(one lease.ClosedRun, err error) { s.RecordFailure(ctx, troubled.Evidence, one.Run, err) })
}

func (s *Health) noteClosed(ctx context.Context, closed []lease.ClosedRun) error {
	return s.Write(ctx, db.RunsOf(closed, func(c lease.ClosedRun) string { return c.Run }), func(t *db.Tx) error {
		for _, c := range closed {
			_, err := t.ExecContext(ctx, `UPDATE runs SET disconnected_at = $3, disconnect_confirm_us = $4 WHERE id = $1 AND attempt = $2 AND leased = 1 AND reported_at <= $3`,
				c.Run, c.Attempt, db.Micros(c.Closure.At), c.Closure.Confirm.Microseconds())
			if err != nil {
				return fmt.Errorf("store that the connection of run %s closed: %w", c.Run, err)
			}
		}
		return nil
	})
}

// StoreEvidence stores the evidence of heartbeats, for the server that judges next. A failure affects only
// its run.
func (s *Health) StoreEvidence(ctx context.Context, folded []lease.StoredEvidence) error {
	folded = troubled.ByRun(folded, func(f lease.StoredEvidence) string { return f.Run })
	return troubled.Isolate(ctx, s.DB, folded, func(some []lease.StoredEvidence) error {
		if err := s.storeEvidence(ctx, some); err != nil {
			return err
		}
		for _, one := range some {
			s.ClearFailure(ctx, troubled.Evidence, one.Run)
		}
		return nil
	}, func(one lease.StoredEvidence, err error) { s.RecordFailure(ctx, troubled.Evidence, one.Run, err) })
}

func (s *Health) storeEvidence(ctx context.Context, folded []lease.StoredEvidence) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error { // evidence is no part of a lease
		for _, f := range folded {
			doc, err := json.Marshal(f.Evidence)
			if err == nil {
				_, err = t.ExecContext(ctx, `UPDATE runs SET evidence = $3 WHERE id = $1 AND attempt = $2`, f.Run, f.Attempt, string(doc))
			}
			if err != nil {
				return fmt.Errorf("store the evidence of run %s: %w", f.Run, err)
			}
		}
		return nil
	})
}
