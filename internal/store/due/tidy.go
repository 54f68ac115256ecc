package due

import (
	"context"
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// keepFor is for how long missed due times, and counts of kept ones, are kept.
	keepFor      = 400 * 24 * time.Hour
	tidyInterval = time.Hour
	maxTidy      = 5000
)

// Statements that delete what is older than keepFor.
const (
	deleteMissed = `DELETE FROM job_due_missed_times WHERE (job, due_at) IN (SELECT job, due_at FROM job_due_missed_times
		WHERE due_at < $1 ORDER BY due_at LIMIT $2)`
	deleteDays = `DELETE FROM job_due_days WHERE (job, day) IN (SELECT job, day FROM job_due_days WHERE day < $1 ORDER BY day LIMIT $2)`
)

// tidy deletes what is older than keepFor, once in tidyInterval.
func (s *Expectations) tidy(ctx context.Context, now time.Time) error {
	if now.Sub(s.tidied) < tidyInterval && now.After(s.tidied) {
		return nil
	}
	before := now.Add(-keepFor)
	if err := s.Change(ctx, "delete old due times", deleteMissed, db.Micros(before), maxTidy); err != nil {
		return err
	}
	if err := s.Change(ctx, "delete old counts of due times", deleteDays, before.Unix()/secondsOfDay, maxTidy); err != nil {
		return err
	}
	s.tidied = now
	return nil
}
