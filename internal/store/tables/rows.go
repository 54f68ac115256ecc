package tables

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
	"unicode"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

const (
	// PackLiveBytes is the number of bytes from which the journal of a running attempt is packed.
	PackLiveBytes = 64 << 20
	// packDelay is the time from the end of an attempt to its packing, so that the work does not
	// compete with the end of the job.
	packDelay = 30 * time.Second
)

// RunRow is a row of runs: the run as the API shows it, and what only the server needs.
type RunRow struct {
	Run        job.Run
	ReportedAt time.Time
	ExpiresAt  time.Time
	Lease      time.Duration
	Period     time.Duration // of the agent's heartbeats; 0 if unknown
	// WhenLost is the diagnosis of the attempt when it was called lost, while it is active again:
	// it may only be the rest of its journal that arrives.
	WhenLost *job.Diagnosis
	// Late says that the end of the run was delivered late, and is still to be reported with what
	// else its host delivers.
	Late bool
	// Backlog says that the journal of the attempt is delivered late: the newest sign of the attempt,
	// a record or a heartbeat, was job.LateAfter old or older when it arrived.
	Backlog bool
	// Waited is the finding about its wait in the queue that the run had when the row was read; nil for none. It is not
	// stored: the finding ends with the wait, and then people are notified of that.
	Waited *job.Finding
}

// Renew renews the lease of a run by a report that arrived at a time. One that is stored late, because its server was stopped
// meanwhile, does not shorten the lease that another server has renewed. A lease that was renewed after latest was by a clock
// that was ahead.
func (r *RunRow) Renew(at time.Time, length time.Duration, latest time.Time) {
	expires := at.Add(length)
	if r.ReportedAt.After(at) && !r.ReportedAt.After(latest) {
		at, expires = r.ReportedAt, db.Latest(r.ExpiresAt, expires)
	}
	r.ReportedAt, r.ExpiresAt, r.Lease = at, expires, length
}

// runDoc is the stored document of a run.
type runDoc struct {
	job.Run
	WhenLost *job.Diagnosis `json:"diagnosis_when_lost,omitempty"`
}

// RunColumns are what ScanRun reads.
const RunColumns = `id, job, number, attempt, state, health, created_at, start_at, reported_at, beat_at, lease_us, expires_at, period_us, late, backlog, doc`

// ScanRun reads a run. The error is *query.UnreadableError for one whose document cannot be read.
func ScanRun(from db.Scanner) (RunRow, error) {
	var (
		stored                                            runDoc
		row                                               RunRow
		created, start, lastSign, lease, expires, periods int64
		beat                                              sql.NullInt64
		doc                                               []byte
	)
	var id, name, state, health string
	var number int64
	var attempt, late, backlog int
	err := from.Scan(&id, &name, &number, &attempt, &state, &health, &created, &start, &lastSign, &beat, &lease, &expires, &periods, &late, &backlog, &doc)
	if err != nil {
		return RunRow{}, err
	}
	unreadable := json.Unmarshal(doc, &stored)
	if unreadable != nil {
		stored = runDoc{}
	}
	r := stored.Run
	r.ID, r.Job, r.Number, r.Attempt = id, name, number, attempt
	r.State, r.Health = job.State(state), job.Health(health)
	r.CreatedAt, r.StartAt, r.LastHeartbeatAt = db.FromMicros(created), db.FromMicros(start), db.FromNullableMicros(beat)
	r.DeliveredLateSeconds = job.DeliveredLate(r.StartAt, r.CreatedAt).Seconds()
	if unreadable != nil {
		return RunRow{}, &query.UnreadableError{Run: r, What: "the stored document", Cause: unreadable}
	}
	if (r.State == job.Queued || r.State == job.Retrying) && len(r.Findings) > 0 {
		row.Waited = &r.Findings[0]
	}
	row.WhenLost, row.Late, row.Backlog = stored.WhenLost, late == 1, backlog == 1
	row.Run, row.ReportedAt, row.ExpiresAt = r, db.FromMicros(lastSign), db.FromMicros(expires)
	row.Lease, row.Period = time.Duration(lease)*time.Microsecond, time.Duration(periods)*time.Microsecond
	return row, nil
}

// ScanRuns reads the runs of a query and closes it. Rows that cannot be read are returned in skipped.
func ScanRuns(rows *sql.Rows) (runs []job.Run, skipped []*query.UnreadableError, err error) {
	found, skipped, err := ScanRows(rows)
	for _, row := range found {
		runs = append(runs, row.Run)
	}
	return runs, skipped, err
}

// ScanRows is ScanRuns for whole rows.
func ScanRows(rows *sql.Rows) (found []RunRow, skipped []*query.UnreadableError, err error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		row, err := ScanRun(rows)
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

// InsertRun inserts a run, and sets its number.
func InsertRun(ctx context.Context, t *db.Tx, row *RunRow) error {
	r := &row.Run
	err := t.QueryRowContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ($1, 2)
		ON CONFLICT (name) DO UPDATE SET next_number = jobs.next_number + 1
		RETURNING next_number - 1`, r.Job).Scan(&r.Number)
	if err != nil {
		return fmt.Errorf("number a run of job %s: %w", r.Job, err)
	}
	res, err := t.ExecContext(ctx, `INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at,
		reported_at, lease_us, expires_at, period_us, peak_memory, search, doc)
		VALUES ($1, $2, $3, 0, 'queued', '', 0, $4, $5, $4, 0, 0, 0, 0, '', '{}') ON CONFLICT (id) DO NOTHING`,
		r.ID, r.Job, r.Number, db.Micros(r.CreatedAt), db.Micros(r.StartAt))
	if err := db.RequireRow(res, err); err != nil {
		return fmt.Errorf("create run %s: %w", r.ID, err)
	}
	return nil
}

// LockAttempt reads an attempt and locks its row.
func LockAttempt(ctx context.Context, t *db.Tx, key AttemptKey) (*AttemptRow, error) {
	_, row, err := ScanAttempt(t.QueryRowContext(ctx, `SELECT `+AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`+t.Dialect.Lock, key.Run, key.Attempt))
	return row, err
}

// UpdateRun stores the row of a run, which this transaction has locked.
func UpdateRun(ctx context.Context, t *db.Tx, row *RunRow) error {
	r := &row.Run
	r.Acknowledged = validAcknowledgement(r)
	doc, err := json.Marshal(runDoc{Run: *r, WhenLost: row.WhenLost})
	if err != nil {
		return fmt.Errorf("encode run %s: %w", r.ID, err)
	}
	cancel, err := JSONOrNull(r.Cancel)
	if err != nil {
		return fmt.Errorf("encode run %s: %w", r.ID, err)
	}
	known := sql.NullInt64{}
	if r.State.Terminal() {
		known = db.NotNull(db.Micros(t.Now()))
	}
	return t.Queue(ctx, db.Statement{What: "store run " + r.ID, Query: `UPDATE runs SET attempt = $2, state = $3, health = $4, leased = $5,
		started_at = $6, ended_at = $7, reported_at = $8, beat_at = $9, lease_us = $10, expires_at = $11,
		period_us = $12, peak_memory = $13, search = $14, doc = $15, cancel = $16, suspended = $17,
		end_known_at = CASE WHEN state = $3 THEN COALESCE(end_known_at, CAST($18 AS BIGINT)) ELSE CAST($18 AS BIGINT) END, acknowledged = $19,
		late = $20, backlog = $21 WHERE id = $1`, Args: []any{
		r.ID, r.Attempt, string(r.State), string(r.Health), leased(r.State),
		db.NullableMicros(r.StartedAt), db.NullableMicros(r.EndedAt), db.Micros(row.ReportedAt), db.NullableMicros(r.LastHeartbeatAt),
		row.Lease.Microseconds(), db.Micros(row.ExpiresAt), row.Period.Microseconds(),
		r.Usage.PeakMemoryBytes, searchText(r), string(doc), cancel, db.BoolToInt(r.SuspendedAt != nil), known, db.BoolToInt(r.Acknowledged != nil),
		db.BoolToInt(row.Late && r.State.Terminal()), db.BoolToInt(row.Backlog),
	}})
}

// JSONOrNull encodes a value; NULL for nil.
func JSONOrNull[T any](v *T) (sql.NullString, error) {
	if v == nil {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(v)
	return sql.NullString{String: string(text), Valid: true}, err
}

func leased(s job.State) int { return db.BoolToInt(s.Active()) }

// searchText returns the text that the filter q searches. Each part is limited when it arrives. It is
// not truncated here, because the run would not be found by the rest.
func searchText(r *job.Run) string {
	parts := []string{r.Job, r.ID, r.Host, r.Command}
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		parts = append(parts, r.Labels[k])
	}
	return SearchForm(strings.Join(parts, " "))
}

// SetLabels replaces the labels of a run in the table of labels.
func SetLabels(ctx context.Context, t *db.Tx, r *job.Run) error {
	what := "labels of run " + r.ID
	if err := t.Queue(ctx, db.Statement{Query: `DELETE FROM run_labels WHERE run_id = $1`, Args: []any{r.ID}, What: what}); err != nil {
		return err
	}
	for k, v := range r.Labels {
		err := t.Queue(ctx, db.Statement{
			Query: `INSERT INTO run_labels (key, value, run_id, start_at) VALUES ($1, $2, $3, $4)`, Args: []any{k, v, r.ID, db.Micros(r.StartAt)}, What: what,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SetHost stores the host that a run is found by.
func SetHost(ctx context.Context, t *db.Tx, r *job.Run) error {
	if _, err := t.ExecContext(ctx, `UPDATE runs SET host = $2 WHERE id = $1`, r.ID, r.Host); err != nil {
		return fmt.Errorf("store the host of run %s: %w", r.ID, err)
	}
	return nil
}

// LockRun reads a run and locks its row.
func LockRun(ctx context.Context, t *db.Tx, id string) (RunRow, error) {
	row, err := ScanRun(t.QueryRowContext(ctx, `SELECT `+RunColumns+` FROM runs WHERE id = $1`+t.Dialect.Lock, id))
	if errors.Is(err, sql.ErrNoRows) {
		return RunRow{}, MissingRun(ctx, t, t.Dialect, id)
	}
	if err != nil {
		return RunRow{}, fmt.Errorf("read run %s: %w", id, err)
	}
	return row, nil
}

// AttemptRow is a row of attempts.
type AttemptRow struct {
	AttemptDoc
	Tail   []byte
	Stored bool      // the row exists
	At     time.Time // when the last append arrived, in this group
}

// AttemptDoc is the document of an attempt.
type AttemptDoc struct {
	index.State
	// Tiers counts the small blocks at the end of the journal, by tier.
	Tiers Tiers `json:"tiers"`
	// Cut is what was dropped of the journal's middle; nil for nothing.
	Cut *Cut `json:"cut,omitempty"`
	// Writer is the number of the process that may append; see index.Append.
	Writer int `json:"writer,omitempty"`
}

// Durable returns the number of stored bytes of the journal.
func (a *AttemptRow) Durable() int64 { return a.Size + int64(len(a.Tail)) }

// AttemptKey names an attempt.
type AttemptKey struct {
	Run     string
	Attempt int
}

// String returns the id of an attempt in troubled items; AttemptID is the same in SQL.
func (k AttemptKey) String() string { return k.Run + "/" + strconv.Itoa(k.Attempt) }

// AttemptID is AttemptKey.String in SQL.
const AttemptID = `run_id || '/' || attempt`

// CompareKeys orders attempts by run and number.
func CompareKeys(a, b AttemptKey) int {
	if c := strings.Compare(a.Run, b.Run); c != 0 {
		return c
	}
	return a.Attempt - b.Attempt
}

// AttemptColumns are what ScanAttempt reads.
const AttemptColumns = `run_id, attempt, doc, tail`

// ScanAttempt reads an attempt. The error is *query.UnreadableError for one whose document cannot
// be read; its key is known then.
func ScanAttempt(from db.Scanner) (AttemptKey, *AttemptRow, error) {
	var key AttemptKey
	var doc []byte
	row := &AttemptRow{Stored: true}
	if err := from.Scan(&key.Run, &key.Attempt, &doc, &row.Tail); err != nil {
		return key, nil, err
	}
	if err := json.Unmarshal(doc, &row.AttemptDoc); err != nil {
		return key, nil, &query.UnreadableError{Run: job.Run{ID: key.Run}, What: fmt.Sprintf("stored attempt %d", key.Attempt), Cause: err}
	}
	return key, row, nil
}

// SaveAttempt stores an attempt that this transaction has locked, or that is new. It schedules its
// journal to be trimmed if it is longer than runLog; 0 for no limit.
func SaveAttempt(ctx context.Context, t *db.Tx, key AttemptKey, row *AttemptRow, runLog int64) error {
	doc, err := json.Marshal(row.AttemptDoc)
	if err != nil {
		return fmt.Errorf("encode attempt %d of run %s: %w", key.Attempt, key.Run, err)
	}
	// An attempt that has ended, or grown large, is packed soon.
	due := sql.NullInt64{}
	if row.Ended {
		due = db.NotNull(db.Micros(row.At.Add(packDelay)))
	}
	trim := sql.NullInt64{}
	if row.needsTrim(runLog) {
		trim = db.NotNull(db.Micros(row.At))
	}
	unidentified := sql.NullInt64{}
	if !row.Known() {
		unidentified = db.NotNull(db.Micros(row.At))
	}
	statement := `UPDATE attempts SET size = $3, doc = $4, tail = $5, unidentified_at = $10,
		trim_at = COALESCE(trim_at, CAST($9 AS BIGINT)), pack_at = COALESCE(pack_at, CAST($6 AS BIGINT), CASE WHEN $3 - packed > CAST($7 AS BIGINT) THEN CAST($8 AS BIGINT) END) WHERE run_id = $1 AND attempt = $2`
	var tail []byte // NULL if it is empty
	if len(row.Tail) > 0 {
		tail = row.Tail
	}
	args := []any{key.Run, key.Attempt, row.Durable(), string(doc), tail, due, PackLiveBytes, db.Micros(row.At.Add(packDelay)), trim, unidentified}
	if !row.Stored {
		statement = `INSERT INTO attempts (run_id, attempt, size, doc, tail, pack_at, trim_at, unidentified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
		args = append(args[:6], trim, unidentified)
	}
	row.Stored = true
	return t.Queue(ctx, db.Statement{Query: statement, Args: args, One: true, What: fmt.Sprintf("store attempt %d of run %s", key.Attempt, key.Run)})
}

// SearchForm returns a text in the form in which texts are stored for the search, and searched for. A
// character that index.Clean has replaced is found by the original one.
func SearchForm(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return ' '
		}
		return unicode.ToLower(c)
	}, text)
}
