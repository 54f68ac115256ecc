package schedules

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

const (
	// interval is the pause between two searches for due schedules.
	interval       = time.Second
	expireInterval = time.Hour
)

// RunSchedules starts what schedules are due for, until ctx ends. After the clock of this host, whose name is given,
// was set, it starts nothing for a while. changed is called with each run that was made.
func (s *Schedules) RunSchedules(ctx context.Context, log *slog.Logger, host string, changed func(job.Run)) {
	var watched clock.Watch
	var expired time.Time
	failures := periodic.Failures{Log: log, Failing: "schedules cannot be looked at: jobs that are due may start late", Working: "schedules are looked at again"}
	s.items.ClearFailure(ctx, troubled.Clock, host)
	troubling := false
	periodic.Loop{Every: interval, Now: s.Now, Failures: failures}.Run(ctx, func(now time.Time) error {
		moved, held := watched.Compare(now, s.SinceBoot())
		if moved != 0 {
			cause := clockError(moved)
			log.Error("the clock of this host was set: nothing is started by schedules for a while", "by", moved.Round(time.Second), "for", clock.HoldFor)
			s.items.RecordFailure(ctx, troubled.Clock, host, cause)
			troubling = true
		}
		if held {
			return nil
		}
		if troubling {
			s.items.ClearFailure(ctx, troubled.Clock, host)
			troubling = false
		}
		if time.Since(expired) >= expireInterval {
			if err := s.ExpireOccurrences(ctx, now); err != nil {
				return err
			}
			expired = time.Now()
		}
		return s.TickSchedules(ctx, changed)
	})
}

// clockError says by how much a clock was set.
func clockError(moved time.Duration) error {
	way := "ahead"
	if moved < 0 {
		way = "back"
	}
	return fmt.Errorf("the clock of the host was set %s by %s: nothing is started by schedules for %s; keep the clock right with NTP", way, moved.Abs().Round(time.Second), clock.HoldFor)
}

// setByClockAhead selects schedules whose next time was computed when the clock showed a time that has not come.
var setByClockAhead = `SELECT ` + columns + ` WHERE s.set_at > $3` + notPaused + ` ORDER BY s.set_at LIMIT $2`

// followClock recomputes the next times of schedules that were computed by a clock that was ahead and was set back
// since. Occurrences without a run of times that have not come are deleted; a time with a run is not started again.
func (s *Schedules) followClock(ctx context.Context) error {
	for {
		now := s.Now()
		found, err := scanAll(s.Reader.QueryContext(ctx, setByClockAhead, db.Micros(now), batch, db.Micros(clock.LatestNow(now))))
		if err != nil || len(found) == 0 {
			return err
		}
		err = troubled.Isolate(ctx, s.DB, found, func(some []Schedule) error { return s.setAllBack(ctx, some, now) },
			func(one Schedule, err error) { s.items.RecordFailure(ctx, troubled.Schedule, one.id(), err) })
		if err != nil {
			return err
		}
	}
}

// setAllBack recomputes the next times of schedules, in one transaction.
func (s *Schedules) setAllBack(ctx context.Context, found []Schedule, now time.Time) error {
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		for _, one := range found {
			if err := setBack(ctx, t, one, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("follow the clock, which was set back: %w", err)
	}
	return nil
}

func setBack(ctx context.Context, t *db.Tx, s Schedule, now time.Time) error {
	rule, err := s.Rule()
	if err != nil {
		return err
	}
	at := db.Micros(now)
	if _, err := t.ExecContext(ctx, `DELETE FROM occurrences WHERE job = $1 AND number = $2 AND at > $3 AND run_id IS NULL`, s.Job, s.Number, at); err != nil {
		return fmt.Errorf("delete occurrences of schedule %d of job %s that have not come: %w", s.Number, job.Quote(s.Job), err)
	}
	// Of several in one row those stay that came.
	begins, err := db.QueryNumbers(ctx, t, `SELECT at FROM occurrences WHERE job = $1 AND number = $2 AND at <= $3 AND last > $3`, s.Job, s.Number, at)
	if err != nil {
		return fmt.Errorf("read occurrences of schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	for _, begin := range begins {
		last, count := begin, 1
		for next := rule.Times.Next(db.FromMicros(begin), rule.Zone); !next.IsZero() && !next.After(now); next = rule.Times.Next(next, rule.Zone) {
			last, count = db.Micros(next), count+1
		}
		if _, err := t.ExecContext(ctx, `UPDATE occurrences SET last = $4, expire_from = $4, count = $5 WHERE job = $1 AND number = $2 AND at = $3`, s.Job, s.Number, begin, last, count); err != nil {
			return fmt.Errorf("shorten occurrences of schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
		}
	}
	following := rule.Times.Next(now, rule.Zone)
	if s.Next != nil && s.Next.Before(following) {
		following = *s.Next // it was due, and nothing was started since
	}
	s.unstarted = 0 // some of those may not have come
	return move(ctx, t, s, following)
}
