package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// Acknowledge records that a person knows what is wrong with a run: its notifications are not repeated,
// and lists show who acknowledged it. It returns the run and the event of its history.
func (s *Outbox) Acknowledge(ctx context.Context, run, by, why string, now time.Time) (job.Run, []job.RunEvent, error) {
	by, why = index.CleanText(by, 200), index.CleanText(why, 1000)
	changed, events, err := s.setAcknowledged(ctx, run, func(r *job.Run) *job.RunEvent {
		r.Acknowledged = &job.Acknowledgement{
			By: by, Why: why, At: db.FromMicros(db.Micros(now)), Attempt: r.Attempt, State: r.State, Health: r.Health,
		}
		evidence := "Acknowledged by " + by
		if why != "" {
			evidence += ": " + why
		}
		return acknowledgementEvent(r, job.EventAcknowledged, evidence, now)
	})
	if err != nil {
		return job.Run{}, nil, fmt.Errorf("acknowledge run %s: %w", run, err)
	}
	return changed, events, nil
}

// Unacknowledge removes the acknowledgement of a run. Without one it changes nothing.
func (s *Outbox) Unacknowledge(ctx context.Context, run, by string, now time.Time) (job.Run, []job.RunEvent, error) {
	by = index.CleanText(by, 200)
	changed, events, err := s.setAcknowledged(ctx, run, func(r *job.Run) *job.RunEvent {
		if r.Acknowledged == nil {
			return nil
		}
		evidence := fmt.Sprintf("Acknowledgement by %s removed by %s", r.Acknowledged.By, by)
		r.Acknowledged = nil
		return acknowledgementEvent(r, job.EventUnacknowledged, evidence, now)
	})
	if err != nil {
		return job.Run{}, nil, fmt.Errorf("remove the acknowledgement of run %s: %w", run, err)
	}
	return changed, events, nil
}

func acknowledgementEvent(r *job.Run, kind, evidence string, now time.Time) *job.RunEvent {
	return &job.RunEvent{
		Run: r.ID, Attempt: r.Attempt, At: now.UTC(), Clock: index.ServerClock, Kind: kind, Rule: kind, Evidence: evidence,
	}
}

// setAcknowledged stores a run that change has changed, and the event that it returned; nil for no change.
func (s *Outbox) setAcknowledged(ctx context.Context, run string, change func(*job.Run) *job.RunEvent) (job.Run, []job.RunEvent, error) {
	var row tables.RunRow
	var events []job.RunEvent
	err := s.Write(ctx, db.Runs(run), func(t *db.Tx) (err error) {
		events = nil
		if row, err = tables.LockRun(ctx, t, run); err != nil {
			return err
		}
		event := change(&row.Run)
		if event == nil {
			return nil
		}
		events = []job.RunEvent{*event}
		if err := tables.InsertEvents(ctx, t, events); err != nil {
			return err
		}
		return tables.UpdateRun(ctx, t, &row)
	})
	return row.Run, events, err
}

// Acknowledged reports whether a run was acknowledged since a time, and the acknowledgement was not
// removed.
func (s *Outbox) Acknowledged(ctx context.Context, run string, since time.Time) (bool, error) {
	var kind string
	err := s.Reader.QueryRowContext(ctx, `SELECT kind FROM events WHERE run_id = $1 AND kind IN ('acknowledged', 'unacknowledged')
		AND at >= $2 ORDER BY id DESC LIMIT 1`, run, db.Micros(since)).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read who acknowledged run %s: %w", run, err)
	}
	return kind == job.EventAcknowledged, nil
}
