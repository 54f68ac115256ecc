package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// runRow is a run as the table keeps it: the view, and what only the server needs.
type runRow struct {
	run       job.Run
	heardAt   time.Time
	expiresAt time.Time
	lease     time.Duration
	period    time.Duration // how often the agent means to beat; 0 if unknown
	// whenLost is the diagnosis of the attempt when it was called lost, while it is active again:
	// it may only be the rest of its journal that arrives.
	whenLost *job.Diagnosis
}

// runDoc is the stored document of a run.
type runDoc struct {
	job.Run
	WhenLost *job.Diagnosis `json:"diagnosis_when_lost,omitempty"`
}

const runColumns = `id, job, number, attempt, state, health, created_at, start_at, heard_at, beat_at, lease_us, expires_at, period_us, doc`

func scanRun(from db.Scanner) (runRow, error) {
	var (
		stored                                         runDoc
		row                                            runRow
		created, start, heard, lease, expires, periods int64
		beat                                           sql.NullInt64
		doc                                            []byte
	)
	var id, name, state, health string
	var number int64
	var attempt int
	err := from.Scan(&id, &name, &number, &attempt, &state, &health, &created, &start, &heard, &beat, &lease, &expires, &periods, &doc)
	if err != nil {
		return runRow{}, err
	}
	unreadable := json.Unmarshal(doc, &stored)
	if unreadable != nil {
		stored = runDoc{}
	}
	r := stored.Run
	r.ID, r.Job, r.Number, r.Attempt = id, name, number, attempt
	r.State, r.Health = job.State(state), job.Health(health)
	r.CreatedAt, r.StartAt, r.LastHeartbeatAt = db.FromMicros(created), db.FromMicros(start), db.FromNull(beat)
	r.DeliveredLateSeconds = job.DeliveredLate(r.StartAt, r.CreatedAt).Seconds()
	if unreadable != nil {
		return runRow{}, &query.UnreadableError{Run: r, What: "the stored document", Cause: unreadable}
	}
	row.whenLost = stored.WhenLost
	row.run, row.heardAt, row.expiresAt = r, db.FromMicros(heard), db.FromMicros(expires)
	row.lease, row.period = time.Duration(lease)*time.Microsecond, time.Duration(periods)*time.Microsecond
	return row, nil
}

// scanRuns reads the runs of a query and closes it. A row that cannot be read is skipped, and
// returned apart.
func scanRuns(rows *sql.Rows) (runs []job.Run, skipped []*query.UnreadableError, err error) {
	found, skipped, err := scanRows(rows)
	for _, row := range found {
		runs = append(runs, row.run)
	}
	return runs, skipped, err
}

// scanRows is scanRuns with what only the server needs.
func scanRows(rows *sql.Rows) (found []runRow, skipped []*query.UnreadableError, err error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		row, err := scanRun(rows)
		var bad *query.UnreadableError
		switch {
		case errors.As(err, &bad):
			skipped = append(skipped, bad)
		case err != nil:
			return nil, nil, err
		default:
			found = append(found, row)
		}
	}
	return found, skipped, rows.Err()
}

// insertRun stores a run of which nothing was known.
func insertRun(ctx context.Context, t *db.Tx, row *runRow) error {
	r := &row.run
	err := t.QueryRowContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ($1, 2)
		ON CONFLICT (name) DO UPDATE SET next_number = jobs.next_number + 1
		RETURNING next_number - 1`, r.Job).Scan(&r.Number)
	if err != nil {
		return fmt.Errorf("number a run of job %s: %w", r.Job, err)
	}
	res, err := t.ExecContext(ctx, `INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at,
		heard_at, lease_us, expires_at, period_us, peak_memory, search, doc)
		VALUES ($1, $2, $3, 0, 'queued', '', 0, $4, $5, $4, 0, 0, 0, 0, '', '{}') ON CONFLICT (id) DO NOTHING`,
		r.ID, r.Job, r.Number, db.Micros(r.CreatedAt), db.Micros(r.StartAt))
	if err := db.Wrote(res, err); err != nil {
		return fmt.Errorf("create run %s: %w", r.ID, err)
	}
	return nil
}

// lockAttempt reads an attempt and keeps others from changing it.
func lockAttempt(ctx context.Context, t *db.Tx, key attemptKey) (*attemptRow, error) {
	_, row, err := scanAttempt(t.QueryRowContext(ctx, `SELECT `+attemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`+t.Dialect.Lock, key.run, key.attempt))
	return row, err
}

// updateRun stores a run that is locked by this transaction.
func updateRun(ctx context.Context, t *db.Tx, row *runRow) error {
	r := &row.run
	r.Acknowledged = stillAcknowledged(r)
	doc, err := json.Marshal(runDoc{Run: *r, WhenLost: row.whenLost})
	if err != nil {
		return fmt.Errorf("encode run %s: %w", r.ID, err)
	}
	cancel, err := jsonOrNull(r.Cancel)
	if err != nil {
		return fmt.Errorf("encode run %s: %w", r.ID, err)
	}
	known := sql.NullInt64{}
	if r.State.Terminal() {
		known = db.Number(db.Micros(t.Now()))
	}
	return t.Later(ctx, db.Statement{What: "store run " + r.ID, Query: `UPDATE runs SET attempt = $2, state = $3, health = $4, leased = $5,
		started_at = $6, ended_at = $7, heard_at = $8, beat_at = $9, lease_us = $10, expires_at = $11,
		period_us = $12, peak_memory = $13, search = $14, doc = $15, cancel = $16, suspended = $17,
		end_known_at = CASE WHEN state = $3 THEN COALESCE(end_known_at, CAST($18 AS BIGINT)) ELSE CAST($18 AS BIGINT) END, acknowledged = $19 WHERE id = $1`, Args: []any{
		r.ID, r.Attempt, string(r.State), string(r.Health), leased(r.State),
		db.MicrosOrNull(r.StartedAt), db.MicrosOrNull(r.EndedAt), db.Micros(row.heardAt), db.MicrosOrNull(r.LastHeartbeatAt),
		row.lease.Microseconds(), db.Micros(row.expiresAt), row.period.Microseconds(),
		r.Usage.PeakMemoryBytes, searchText(r), string(doc), cancel, db.AsInt(r.SuspendedAt != nil), known, db.AsInt(r.Acknowledged != nil),
	}})
}

func jsonOrNull[T any](v *T) (sql.NullString, error) {
	if v == nil {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(v)
	return sql.NullString{String: string(text), Valid: true}, err
}

func leased(s job.State) int { return db.AsInt(s.Active()) }

// searchText is what the q filter looks in. Each part is bounded where it comes in, and
// nothing is cut off here: a run would not be found by it, without a word.
func searchText(r *job.Run) string {
	parts := []string{r.Job, r.ID, r.Host, r.Command}
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		parts = append(parts, r.Labels[k])
	}
	return searchable(strings.Join(parts, " "))
}

// setLabels replaces the labels that runs are found by.
func setLabels(ctx context.Context, t *db.Tx, r *job.Run) error {
	if _, err := t.ExecContext(ctx, `DELETE FROM run_labels WHERE run_id = $1`, r.ID); err != nil {
		return fmt.Errorf("labels of run %s: %w", r.ID, err)
	}
	for k, v := range r.Labels {
		if _, err := t.ExecContext(ctx, `INSERT INTO run_labels (key, value, run_id, start_at) VALUES ($1, $2, $3, $4)`, k, v, r.ID, db.Micros(r.StartAt)); err != nil {
			return fmt.Errorf("labels of run %s: %w", r.ID, err)
		}
	}
	return nil
}

// lockRun reads a run that this transaction will change.
func lockRun(ctx context.Context, t *db.Tx, id string) (runRow, error) {
	row, err := scanRun(t.QueryRowContext(ctx, `SELECT `+runColumns+` FROM runs WHERE id = $1`+t.Dialect.Lock, id))
	if errors.Is(err, sql.ErrNoRows) {
		return runRow{}, &query.NotFoundError{What: "run " + id}
	}
	if err != nil {
		return runRow{}, fmt.Errorf("read run %s: %w", id, err)
	}
	return row, nil
}

// attemptRow is an attempt as the table keeps it.
type attemptRow struct {
	attemptDoc
	tail   []byte
	stored bool      // the row exists
	at     time.Time // when the last append arrived, in this group
}

// attemptDoc is what an attempt keeps as JSON.
type attemptDoc struct {
	index.State
	// Tiers counts the small blocks at the end of the journal, by tier; see merge.go.
	Tiers tiers `json:"tiers"`
	// Cut is what was dropped of the journal's middle; see trim.go.
	Cut *cut `json:"cut,omitempty"`
	// Writer is the process whose appends are taken; see index.Append.
	Writer int `json:"writer,omitempty"`
}

// durable is how many bytes of the journal are stored.
func (a *attemptRow) durable() int64 { return a.Size + int64(len(a.tail)) }

type attemptKey struct {
	run     string
	attempt int
}

// String is how troubled items name an attempt; attemptID is the same in SQL.
func (k attemptKey) String() string { return k.run + "/" + strconv.Itoa(k.attempt) }

const attemptID = `run_id || '/' || attempt`

func compareKeys(a, b attemptKey) int {
	if c := strings.Compare(a.run, b.run); c != 0 {
		return c
	}
	return a.attempt - b.attempt
}

const attemptColumns = `run_id, attempt, doc, tail`

func scanAttempt(from db.Scanner) (attemptKey, *attemptRow, error) {
	var key attemptKey
	var doc []byte
	row := &attemptRow{stored: true}
	if err := from.Scan(&key.run, &key.attempt, &doc, &row.tail); err != nil {
		return key, nil, err
	}
	if err := json.Unmarshal(doc, &row.attemptDoc); err != nil {
		return key, nil, &query.UnreadableError{Run: job.Run{ID: key.run}, What: fmt.Sprintf("stored attempt %d", key.attempt), Cause: err}
	}
	return key, row, nil
}

// saveAttempt stores an attempt that is locked by this transaction, or that is new. Its journal is
// to be trimmed when it is longer than runLog; 0 for never.
func saveAttempt(ctx context.Context, t *db.Tx, key attemptKey, row *attemptRow, runLog int64) error {
	doc, err := json.Marshal(row.attemptDoc)
	if err != nil {
		return fmt.Errorf("encode attempt %d of run %s: %w", key.attempt, key.run, err)
	}
	// What has ended, or grown large, is to be packed soon.
	due := sql.NullInt64{}
	if row.Ended {
		due = db.Number(db.Micros(row.at.Add(packSoon)))
	}
	trim := sql.NullInt64{}
	if row.trimDue(runLog) {
		trim = db.Number(db.Micros(row.at))
	}
	unidentified := sql.NullInt64{}
	if !row.Known() {
		unidentified = db.Number(db.Micros(row.at))
	}
	statement := `UPDATE attempts SET size = $3, doc = $4, tail = $5, unidentified_at = $10,
		trim_at = COALESCE(trim_at, CAST($9 AS BIGINT)), pack_at = COALESCE(pack_at, CAST($6 AS BIGINT), CASE WHEN $3 - packed > CAST($7 AS BIGINT) THEN CAST($8 AS BIGINT) END) WHERE run_id = $1 AND attempt = $2`
	args := []any{key.run, key.attempt, row.durable(), string(doc), row.tail, due, packLive, db.Micros(row.at.Add(packSoon)), trim, unidentified}
	if !row.stored {
		statement = `INSERT INTO attempts (run_id, attempt, size, doc, tail, pack_at, trim_at, unidentified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
		args = append(args[:6], trim, unidentified)
	}
	row.stored = true
	return t.Later(ctx, db.Statement{Query: statement, Args: args, One: true, What: fmt.Sprintf("store attempt %d of run %s", key.attempt, key.run)})
}
