// Package schedules stores the schedules of jobs, starts the runs that are due, and stores the result of each time.
package schedules

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Schedules are those of one database.
type Schedules struct {
	*db.DB
	queue   *queue.Queue
	items   *troubled.Items
	enqueue Enqueue

	mu        sync.Mutex
	counts    map[schedule.Result]int64 // since this server began
	lastFound foundSchedule             // the last one of a page of those that have a finding
}

// Enqueue stores notifications in a transaction.
type Enqueue func(ctx context.Context, t *db.Tx, entries []outbox.Entry) error

// New returns the schedules of a database.
func New(d *db.DB, q *queue.Queue, items *troubled.Items, enqueue Enqueue) *Schedules {
	return &Schedules{DB: d, queue: q, items: items, enqueue: enqueue, counts: map[schedule.Result]int64{}}
}

// Schedule is a schedule of a job.
type Schedule struct {
	Job      string
	Number   int // it stays when the definition changes
	Position int // among the schedules of the definition, from 1
	definition.Schedule
	Next   *time.Time // the first time that has not come; nil for none
	Spread time.Duration
	// Paused is when and why a person paused the schedule, and JobPaused the job; nil for not.
	Paused, JobPaused *api.Pause

	unstarted int64        // how many of its last occurrences did not become runs, not counting those of a pause
	finding   *job.Finding // about these; nil if there is none

	doc        string
	unreadable error // why doc cannot be read; nil if it can
}

// id is the id of the schedule as a troubled item.
func (s Schedule) id() string { return s.Job + "/" + strconv.Itoa(s.Number) }

// Rule says when the schedule is due.
func (s Schedule) Rule() (schedule.Rule, error) {
	if s.unreadable != nil {
		return schedule.Rule{}, s.unreadable
	}
	r, err := definition.Definition{Job: s.Job}.Rule(s.Schedule)
	r.Spread = s.Spread
	return r, err
}

// columns are those of a Schedule, in the order in which scan reads them.
const columns = `s.job, s.number, s.position, s.doc, s.next_at, s.paused_at, s.paused_by, s.paused_why, d.paused_at, d.paused_by, d.paused_why, s.unstarted, s.finding
	FROM schedules s JOIN definitions d ON d.job = s.job`

// notPaused excludes schedules that failed and are not to be tried yet. The first argument of the query is the time.
var notPaused = ` AND` + troubled.NotPaused(troubled.Schedule, `s.job || '/' || s.number`, 1)

func scan(row db.Scanner) (s Schedule, err error) {
	var next, paused, jobPaused sql.NullInt64
	var own, ofJob api.Pause
	var finding sql.NullString
	err = row.Scan(&s.Job, &s.Number, &s.Position, &s.doc, &next, &paused, &own.By, &own.Why, &jobPaused, &ofJob.By, &ofJob.Why, &s.unstarted, &finding)
	if err != nil {
		return s, err
	}
	s.finding = decodeFinding(finding)
	if err := json.Unmarshal([]byte(s.doc), &s.Schedule); err != nil { // which must not keep others from being read
		s.unreadable = fmt.Errorf("decode schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	s.Next, s.Spread = db.FromNullableMicros(next), schedule.SpreadOf(s.Job, s.Number, time.Duration(s.Schedule.Spread))
	if paused.Valid {
		own.At = db.FromMicros(paused.Int64)
		s.Paused = &own
	}
	if jobPaused.Valid {
		ofJob.At = db.FromMicros(jobPaused.Int64)
		s.JobPaused = &ofJob
	}
	return s, nil
}

func scanAll(rows *sql.Rows, err error) ([]Schedule, error) {
	if err != nil {
		return nil, fmt.Errorf("read schedules: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []Schedule{}
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read schedules: %w", err)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// PauseSchedule keeps a schedule from starting its job; nil ends that. The error is *query.NotFoundError if there is
// none of the number.
func (s *Schedules) PauseSchedule(ctx context.Context, name string, number int, pause *api.Pause) (api.Schedule, error) {
	var found Schedule
	err := s.Write(ctx, db.None, func(t *db.Tx) (err error) {
		if found, err = lock(ctx, t, name, number); err != nil {
			return err
		}
		if pause != nil && found.Paused != nil {
			return nil // it is known since when
		}
		if pause == nil && found.Paused != nil {
			// What is due until now was due while it was paused.
			if err := pass(ctx, t, found, t.Now(), true, ""); err != nil {
				return err
			}
		}
		var at sql.NullInt64
		stored := api.Pause{}
		if pause != nil {
			stored = api.Pause{At: pause.At, By: index.CleanText(pause.By, 200), Why: index.CleanText(pause.Why, 1000)}
			at = db.NotNull(db.Micros(pause.At))
		}
		_, err = t.ExecContext(ctx, `UPDATE schedules SET paused_at = $3, paused_by = $4, paused_why = $5 WHERE job = $1 AND number = $2`, name, number, at, stored.By, stored.Why)
		if err != nil {
			return fmt.Errorf("pause schedule %d of job %s: %w", number, job.Quote(name), err)
		}
		found, err = lock(ctx, t, name, number)
		return err
	})
	if err != nil {
		return api.Schedule{}, err
	}
	return view(found), nil
}

// lock reads a schedule and locks its row.
func lock(ctx context.Context, t *db.Tx, name string, number int) (Schedule, error) {
	found, err := scan(t.QueryRowContext(ctx, `SELECT `+columns+` WHERE s.job = $1 AND s.number = $2`+lockOf(t), name, number))
	if errors.Is(err, sql.ErrNoRows) {
		return found, &query.NotFoundError{What: fmt.Sprintf("schedule %d of job %s", number, job.Quote(name))}
	}
	if err != nil {
		return found, fmt.Errorf("read schedule %d of job %s: %w", number, job.Quote(name), err)
	}
	return found, nil
}

// lockOf is the end of a query that locks the rows of schedules, and not those of definitions.
func lockOf(t *db.Tx) string {
	if t.Dialect.Postgres {
		return ` FOR UPDATE OF s`
	}
	return ""
}

// count adds to the counts of results.
func (s *Schedules) count(slots []schedule.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range slots {
		s.counts[one.Result] += int64(one.Count)
	}
}

// OccurrenceCounts returns how many occurrences had each result since this server began.
func (s *Schedules) OccurrenceCounts() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int64{}
	for _, r := range schedule.Results {
		counts[string(r)] = s.counts[r]
	}
	return counts
}
