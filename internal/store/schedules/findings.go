package schedules

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// decodeFinding returns a stored finding; nil for none, and for one that cannot be read, which the next occurrence
// replaces.
func decodeFinding(text sql.NullString) *job.Finding {
	var f job.Finding
	if !text.Valid || json.Unmarshal([]byte(text.String), &f) != nil {
		return nil
	}
	return &f
}

// encodeFinding returns the columns of a finding.
func encodeFinding(f *job.Finding) (text sql.NullString, since sql.NullInt64, err error) {
	if f == nil {
		return text, since, nil
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return text, since, fmt.Errorf("encode a finding: %w", err)
	}
	return sql.NullString{String: string(raw), Valid: true}, db.NotNull(db.Micros(f.Since)), nil
}

// judge says whether the occurrences that were stored make or end a finding.
func (s *starting) judge(ctx context.Context, of *outcome) error {
	u := rules.Unstarted{Job: of.Job, Schedule: of.Number, When: of.Text(), Times: of.unstarted, Run: of.blockedBy}
	started := false
	for _, one := range of.recorded {
		switch one.Result {
		case schedule.Ran, schedule.RanLate:
			u.Times, u.Last, started = 0, schedule.Slot{}, true
		case schedule.Paused:
		default:
			u.Times, u.Last, started = u.Times+int64(one.Count), one, false
		}
	}
	if u.Last.Result == "" && !started || started && of.finding == nil {
		of.unstarted = u.Times
		return nil
	}
	p, err := readPolicy(ctx, s.t, of.Job)
	if err != nil {
		return err
	}
	before := of.finding
	of.unstarted, of.finding = u.Times, rules.JudgeSkipped(u, before, s.t.Now(), p)
	entries, err := ofLastRun(ctx, s.t, of.Job, rules.SkippedEntries(of.Job, before, of.finding, started, s.t.Now(), p))
	s.entries = append(s.entries, entries...)
	return err
}

// ofLastRun returns entries about a job with its last run.
func ofLastRun(ctx context.Context, t *db.Tx, name string, entries []outbox.Entry) ([]outbox.Entry, error) {
	for i := range entries {
		var err error
		if entries[i].Run, entries[i].Attempt, err = tables.LastRun(ctx, t, name); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// readPolicy returns the policy of a job. One that cannot be read is the default one: the monitor reports it.
func readPolicy(ctx context.Context, t *db.Tx, name string) (policy.Policy, error) {
	var text string
	err := t.QueryRowContext(ctx, `SELECT yaml FROM job_policies WHERE job = $1`, name).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return policy.Policy{}, fmt.Errorf("read the policy of job %s: %w", job.Quote(name), err)
	}
	return policyOf(text), nil
}

func policyOf(text string) policy.Policy {
	p, err := policy.Parse([]byte(text))
	if err != nil {
		return policy.Default()
	}
	return p
}

const (
	// mostFound is how many schedules that have a finding are looked at in a round.
	mostFound = 1000
	// mostStarted is how many of the last starts of a job are looked at: a start is seen within seconds.
	mostStarted = 20
)

// foundSchedules selects the schedules that have a finding, with the policies of their jobs, and whether a run of the
// job has started since: one of the schedule, or one that is of no schedule.
var foundSchedules = `SELECT s.job, s.number, s.finding, COALESCE(s.paused_at, d.paused_at), COALESCE(p.yaml, ''), EXISTS (
		SELECT 1 FROM (SELECT r.id FROM runs r WHERE r.job = s.job AND r.start_at > s.found_at AND r.attempt > 0
			ORDER BY r.start_at DESC, r.id DESC LIMIT ` + fmt.Sprint(mostStarted) + `) AS last
		WHERE NOT EXISTS (SELECT 1 FROM occurrences o WHERE o.run_id = last.id AND o.number <> s.number))
	FROM schedules s JOIN definitions d ON d.job = s.job LEFT JOIN job_policies p ON p.job = s.job
	WHERE s.found_at IS NOT NULL AND (s.job, s.number) > ($1, $2) ORDER BY s.job, s.number LIMIT $3`

// foundSchedule is a schedule that has a finding.
type foundSchedule struct {
	job     string
	number  int
	stored  string // the finding
	finding job.Finding
	policy  policy.Policy
	paused  bool
	started bool
}

// after returns the finding as it is now; nil if it has ended.
func (f foundSchedule) after() *job.Finding {
	return rules.FollowSkipped(f.finding, f.paused, f.started, f.policy)
}

// followFindings ends the findings of schedules whose jobs were started or paused since, and applies policies that were
// changed.
func (s *Schedules) followFindings(ctx context.Context, now time.Time) error {
	found, err := s.nextFound(ctx)
	if err != nil {
		return err
	}
	for _, one := range found {
		after := one.after()
		if after != nil && after.Health == one.finding.Health {
			continue
		}
		err := s.Write(ctx, db.None, func(t *db.Tx) error {
			// Another server, or the next occurrence, may have been faster.
			text, since, err := encodeFinding(after)
			if err != nil {
				return err
			}
			res, err := t.ExecContext(ctx, `UPDATE schedules SET finding = $4, found_at = $5, unstarted = CASE WHEN $6 = 1 THEN 0 ELSE unstarted END
				WHERE job = $1 AND number = $2 AND finding = $3`, one.job, one.number, one.stored, text, since, db.BoolToInt(after == nil))
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return err
			}
			entries, err := ofLastRun(ctx, t, one.job, rules.SkippedEntries(one.job, &one.finding, after, one.started, now, one.policy))
			if err != nil {
				return err
			}
			return s.enqueue(ctx, t, entries)
		})
		if err != nil {
			return fmt.Errorf("follow the finding of schedule %d of job %s: %w", one.number, job.Quote(one.job), err)
		}
	}
	return nil
}

// nextFound returns the next page of the schedules that have a finding.
func (s *Schedules) nextFound(ctx context.Context) (all []foundSchedule, err error) {
	s.mu.Lock()
	last := s.lastFound
	s.mu.Unlock()
	rows, err := s.Reader.QueryContext(ctx, foundSchedules, last.job, last.number, mostFound)
	if err != nil {
		return nil, fmt.Errorf("read the findings of schedules: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		one := foundSchedule{}
		var paused sql.NullInt64
		var text string
		if err := rows.Scan(&one.job, &one.number, &one.stored, &paused, &text, &one.started); err != nil {
			return nil, fmt.Errorf("read the findings of schedules: %w", err)
		}
		one.paused, one.policy = paused.Valid, policyOf(text)
		if f := decodeFinding(sql.NullString{String: one.stored, Valid: true}); f != nil {
			one.finding = *f
		}
		all = append(all, one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastFound = (foundSchedule{}); len(all) == mostFound { // the next round goes on
		s.lastFound = all[mostFound-1]
	}
	return all, rows.Err()
}
