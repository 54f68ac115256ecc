package runs

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// Queries reads runs, jobs and events.
type Queries struct {
	*db.DB
	*troubled.Items
	finalEvents finalEvents // for PostgreSQL
	bands       bands
}

// New returns the Queries of a database.
func New(d *db.DB, items *troubled.Items) *Queries {
	return &Queries{DB: d, Items: items}
}

// Run returns a run with the view of its last attempt.
func (s *Queries) Run(ctx context.Context, id string) (job.Run, error) {
	if job.CheckRunID(id) != nil {
		return job.Run{}, &query.NotFoundError{What: "run " + job.Quote(id)}
	}
	row, err := tables.ScanRun(s.Reader.QueryRowContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return job.Run{}, tables.MissingRun(ctx, s.Reader, s.Dialect, id)
	}
	if err != nil {
		return job.Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	return s.ForReader(row.Run), nil
}

// SubmittedSpec returns what a submitted run starts.
func (s *Queries) SubmittedSpec(ctx context.Context, id string) (spec job.Spec, err error) {
	var text []byte
	err = s.Reader.QueryRowContext(ctx, `SELECT spec FROM submissions WHERE run_id = $1`, id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return spec, &query.NotFoundError{What: "the submission of run " + id}
	}
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil {
		return spec, fmt.Errorf("read what run %s starts: %w", id, err)
	}
	return spec, nil
}

// RunAttempt returns a run with the view of an attempt, which need not be the last one. An earlier attempt
// without an outcome is lost. The worker of a submitted run is the one that started the attempt.
func (s *Queries) RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error) {
	run, err := s.Run(ctx, id)
	if err != nil {
		return run, err
	}
	view := run
	if attempt != run.Attempt {
		if view, err = s.readEarlier(ctx, run, attempt); err != nil {
			return job.Run{}, err
		}
	}
	view.Submitted, err = s.submittedTo(ctx, run, attempt)
	return view, err
}

// readEarlier returns a run with the view of an attempt that another one followed.
func (s *Queries) readEarlier(ctx context.Context, run job.Run, attempt int) (job.Run, error) {
	var doc []byte
	var state tables.AttemptDoc
	err := s.Reader.QueryRowContext(ctx, `SELECT doc FROM attempts WHERE run_id = $1 AND attempt = $2`, run.ID, attempt).Scan(&doc)
	if err == nil {
		err = json.Unmarshal(doc, &state)
	}
	if errors.Is(err, sql.ErrNoRows) || err == nil && !state.Known() {
		return job.Run{}, &query.NotFoundError{What: fmt.Sprintf("attempt %d of run %s", attempt, run.ID)}
	}
	if err != nil {
		return job.Run{}, fmt.Errorf("read attempt %d of run %s: %w", attempt, run.ID, err)
	}
	view := tables.WithCut(earlierAttempt(run, state.View), state.Cut)
	view.SetDerived()
	return view, nil
}

// submittedTo returns the submission of a run with the worker that started an attempt of it; nil for a run
// that was not submitted.
func (s *Queries) submittedTo(ctx context.Context, run job.Run, attempt int) (*job.Submission, error) {
	if run.Submitted == nil {
		return nil, nil //nolint:nilnil // as described
	}
	sub := *run.Submitted
	err := s.Reader.QueryRowContext(ctx, `SELECT worker FROM permits WHERE run_id = $1 AND attempt = $2`, run.ID, attempt).Scan(&sub.Worker)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read the worker of attempt %d of run %s: %w", attempt, run.ID, err)
	}
	return &sub, nil
}

// earlierAttempt returns a run with the view of an attempt that another one followed.
func earlierAttempt(run, view job.Run) job.Run {
	view.Number, view.CreatedAt = run.Number, run.CreatedAt
	view.StartAt, view.DeliveredLateSeconds = run.StartAt, run.DeliveredLateSeconds
	if view.State == job.Retrying && view.Outcome != nil {
		view.State = view.Outcome.State
	}
	if !view.State.Terminal() {
		view.State = job.Lost
		view.Outcome = &job.Outcome{
			State: job.Lost, Reason: job.AgentLost,
			Message: fmt.Sprintf("The agent left no outcome, and attempt %d followed.", run.Attempt),
		}
	}
	return view
}

// Runs returns a page of runs, those that started last first, without those whose rows cannot be read. The
// error is *job.InvalidError for a cursor that this server did not return.
func (s *Queries) Runs(ctx context.Context, q query.Runs) (query.RunPage, error) {
	limit := min(max(q.Limit, 1), 500)
	statement, args, err := s.pageQuery(ctx, q, limit+1)
	if err != nil {
		return query.RunPage{}, err
	}
	rows, err := s.Reader.QueryContext(ctx, statement, args...)
	if err != nil {
		return query.RunPage{}, fmt.Errorf("list runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	page := query.RunPage{Runs: []job.Run{}}
	var skipped []*query.UnreadableError
	last := ""
	for n := 1; rows.Next(); n++ {
		row, err := tables.ScanRun(rows)
		start, id := db.Micros(row.Run.StartAt), row.Run.ID
		var bad *query.UnreadableError
		switch {
		case n > limit:
			page.NextCursor = last
			continue
		case errors.As(err, &bad):
			start, id = db.Micros(bad.Run.StartAt), bad.Run.ID
			skipped = append(skipped, bad)
		case err != nil:
			return query.RunPage{}, fmt.Errorf("list runs: %w", err)
		default:
			page.Runs = append(page.Runs, s.ForReader(row.Run))
		}
		last = CursorOf(start, id)
	}
	if err := rows.Err(); err != nil {
		return query.RunPage{}, fmt.Errorf("list runs: %w", err)
	}
	s.RecordUnreadable(ctx, troubled.Run, skipped)
	for i := range page.Runs {
		s.ClearFailure(ctx, troubled.Run, page.Runs[i].ID)
	}
	return page, nil
}

// labelScanLimit is the number of runs with a label from which the index of labels is not used.
const labelScanLimit = 2000

// pageQuery returns the query for a page. Runs with a label, or a text, are read off the index of labels or
// texts if there are few of them, or if there is no other filter; else runs are read in the order of
// their starts and filtered.
func (s *Queries) pageQuery(ctx context.Context, q query.Runs, limit int) (string, []any, error) {
	alone := len(q.Labels) == 1 && q.Job == "" && q.Host == "" && q.Text == "" && len(q.States)+len(q.Health) == 0
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		var n int
		if !alone {
			err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM run_labels WHERE key = $1 AND value = $2 LIMIT $3) AS few`,
				index.Clean(key), index.Clean(q.Labels[key]), labelScanLimit).Scan(&n)
			if err != nil {
				return "", nil, fmt.Errorf("count the runs with label %s: %w", job.Quote(key), err)
			}
		}
		if n < labelScanLimit {
			return labelQuery(q, key, limit)
		}
	}
	if ok, err := s.prefersTextIndex(ctx, q); ok || err != nil {
		if err != nil {
			return "", nil, err
		}
		return textQuery(s.Dialect, q, limit)
	}
	return runsQuery(q, limit)
}

// labelQuery returns the query for a page that is read off the index of one label.
func labelQuery(q query.Runs, key string, limit int) (string, []any, error) {
	value := q.Labels[key]
	q.Labels = maps.Clone(q.Labels)
	delete(q.Labels, key)
	cursor := q.Cursor
	q.Cursor = ""
	conditions, args, err := runConditions(q)
	if err != nil {
		return "", nil, err
	}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	var states []string
	for _, state := range q.States {
		states = append(states, arg(string(state)))
	}
	if len(states) > 0 {
		conditions = append(conditions, "state IN ("+strings.Join(states, ", ")+")")
	}
	labels := []string{"key = " + arg(index.Clean(key)), "value = " + arg(index.Clean(value))}
	if cursor != "" {
		at, id, err := ReadCursor(cursor)
		if err != nil {
			return "", nil, err
		}
		labels = append(labels, "(start_at, run_id) < (CAST("+arg(at)+" AS BIGINT), "+arg(id)+")")
	}
	from := "(SELECT run_id, start_at AS label_at FROM run_labels" + where(labels) + ") AS l CROSS JOIN runs"
	return "SELECT " + tables.RunColumns + " FROM " + from + where(append(conditions, "runs.id = l.run_id")) +
		fmt.Sprintf(" ORDER BY l.label_at DESC, l.run_id DESC LIMIT %d", limit), args, nil
}

// runsQuery returns the query for a page in the order of starts. Several states are selected one by one and
// merged: each is sorted in an index, so that a million rows need no sort.
func runsQuery(q query.Runs, limit int) (string, []any, error) {
	conditions, args, err := runConditions(q)
	if err != nil {
		return "", nil, err
	}
	page := fmt.Sprintf(" ORDER BY start_at DESC, id DESC LIMIT %d", limit)
	if len(q.States) == 0 {
		return "SELECT " + tables.RunColumns + " FROM runs" + where(conditions) + page, args, nil
	}
	states := slices.Compact(slices.Sorted(slices.Values(q.States)))
	parts := make([]string, 0, len(states))
	for _, state := range states {
		if !state.Valid() {
			continue // no run is in it
		}
		args = append(args, string(state))
		one := append(slices.Clone(conditions), "state = $"+strconv.Itoa(len(args)))
		parts = append(parts, "SELECT * FROM (SELECT "+tables.RunColumns+" FROM runs"+where(one)+page+") AS one")
	}
	if len(parts) == 0 {
		return "SELECT " + tables.RunColumns + " FROM runs WHERE 1 = 0", nil, nil
	}
	return "SELECT * FROM (" + strings.Join(parts, " UNION ALL ") + ") AS merged" + page, args, nil
}

func where(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

// runConditions returns the conditions of a query, except those on states.
func runConditions(q query.Runs) (conditions []string, args []any, err error) {
	arg := func(v any) string {
		if text, ok := v.(string); ok {
			v = index.Clean(text)
		}
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if q.Job != "" {
		conditions = append(conditions, "job = "+arg(q.Job))
	}
	if q.Host != "" {
		conditions = append(conditions, "host = "+arg(q.Host))
	}
	if !q.Since.IsZero() {
		conditions = append(conditions, "start_at >= CAST("+arg(db.Micros(q.Since))+" AS BIGINT)")
	}
	if !q.Until.IsZero() {
		conditions = append(conditions, "start_at < CAST("+arg(db.Micros(q.Until))+" AS BIGINT)")
	}
	if len(q.Health) > 0 {
		marks := make([]string, len(q.Health))
		for i, h := range q.Health {
			marks[i] = arg(string(h))
		}
		which := "health IN (" + strings.Join(marks, ", ") + ")"
		if !slices.Contains(q.Health, job.Warning) && !slices.Contains(q.Health, job.Critical) {
			conditions = append(conditions, "leased = 1", which)
		} else { // also the few that wait in the queue and have a finding
			conditions = append(conditions, "runs.id IN (SELECT id FROM runs WHERE leased = 1 AND "+which+" UNION ALL SELECT id FROM runs WHERE leased = 0 AND health <> '' AND "+which+")")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		conditions = append(conditions, "EXISTS (SELECT 1 FROM run_labels l WHERE l.run_id = runs.id AND l.key = "+
			arg(key)+" AND l.value = "+arg(q.Labels[key])+")")
	}
	if q.Text != "" {
		conditions = append(conditions, `search LIKE `+arg(likeText(q.Text))+` ESCAPE '\'`)
	}
	if q.Cursor != "" {
		at, id, err := ReadCursor(q.Cursor)
		if err != nil {
			return nil, nil, err
		}
		conditions = append(conditions, "(start_at, id) < (CAST("+arg(at)+" AS BIGINT), "+arg(id)+")")
	}
	return conditions, args, nil
}

// CursorOf returns the cursor after a run with a start in microseconds and an id.
func CursorOf(start int64, id string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d,%s", start, id))
}

// ReadCursor parses a cursor of CursorOf. Its error is *job.InvalidError.
func ReadCursor(cursor string) (start int64, id string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		at, rest, _ := strings.Cut(string(text), ",")
		if start, err = strconv.ParseInt(at, 10, 64); err == nil && job.CheckRunID(rest) == nil {
			return start, rest, nil
		}
	}
	return 0, "", &job.InvalidError{What: "cursor", Value: cursor, Why: "is not one that this server gave; begin again without it"}
}

// IsSubmitted reports whether a run was submitted.
func (s *Queries) IsSubmitted(ctx context.Context, run string) (bool, error) {
	runs, err := s.ReadTexts(ctx, `SELECT run_id FROM submissions WHERE run_id = $1`, run)
	if err != nil {
		return false, fmt.Errorf("read whether run %s was submitted: %w", run, err)
	}
	return len(runs) > 0, nil
}
