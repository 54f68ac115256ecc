package queue

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/clock"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
)

// laterByClock selects further attempts that were queued at a time that has not come: the clock was ahead, and was set
// back since.
const laterByClock = `SELECT run_id FROM queue_entries WHERE queued_at > $1 AND gate = 'not_before' AND attempt > 1 ORDER BY queued_at, run_id LIMIT $2`

// FollowClock moves the times of further attempts that were queued by a clock that was ahead: each waits from now on as
// long as it was to wait then. The time of a first attempt is what somebody asked for, and stays.
func (s *Queue) FollowClock(ctx context.Context) error {
	for {
		now := s.Now()
		ids, err := s.ReadTexts(ctx, laterByClock, db.Micros(clock.LatestNow(now)), matchBatch)
		if err != nil {
			return fmt.Errorf("read which runs were queued by a clock that was ahead: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		moved := 0
		err = s.Write(ctx, db.None, func(t *db.Tx) error {
			own, err := lockEntries(ctx, t, ids, rules.Later)
			if err != nil {
				return err
			}
			if moved = len(own); moved == 0 {
				return nil
			}
			table, args := t.Dialect.Table(3, db.Column{Texts: own})
			_, err = t.ExecContext(ctx, `UPDATE queue_entries SET not_before = not_before - (queued_at - $1), queued_at = $1
				WHERE queued_at > $2 AND attempt > 1 AND run_id IN (SELECT c0 FROM `+table+`)`,
				append([]any{db.Micros(now), db.Micros(clock.LatestNow(now))}, args...)...)
			return err
		})
		if err != nil {
			return fmt.Errorf("move %d runs that were queued by a clock that was ahead: %w", len(ids), err)
		}
		if moved == 0 || len(ids) < matchBatch {
			return nil
		}
	}
}
