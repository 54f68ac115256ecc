package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// beat takes one heartbeat. Its error is one of the database, which ends the group.
func (g *group) beat(ctx context.Context, b index.Beat) (index.Beaten, error) {
	if err := index.CheckAddress(b.Run, b.Attempt); err != nil {
		return index.Beaten{Err: err}, nil
	}
	row, known := g.runs[b.Run]
	switch {
	case !known || b.Attempt > row.run.Attempt: // its journal has not begun to arrive
		return index.Beaten{Owner: true}, nil
	case b.Attempt < row.run.Attempt:
		return index.Beaten{Known: true}, nil
	}
	out := index.Beaten{Known: true, Owner: true, Cancel: row.run.Cancel, Ended: row.run.EndedAt != nil}
	if out.Ended {
		return out, nil
	}
	now := fromMicros(micros(b.At))
	row.run.LastHeartbeatAt, row.heardAt = &now, now
	row.lease = b.Lease
	row.expiresAt = now.Add(b.Lease)
	row.period = beatPeriod(b.Heartbeat)
	g.beatRuns[b.Run] = true
	if row.run.State != job.Lost {
		return out, nil
	}
	attempt, err := g.attempt(ctx, attemptKey{b.Run, b.Attempt})
	if err != nil {
		return index.Beaten{}, err
	}
	run, events := heal(row.run, &attempt.State, now, "The agent sent a heartbeat again.")
	if err := g.tx.insertEvents(ctx, events); err != nil {
		return index.Beaten{}, err
	}
	row.run = showAttempt(run, &attempt.View)
	g.dirtyRuns[b.Run] = true
	healed := row.run
	out.Run, out.Events = &healed, events
	return out, nil
}

// beatPeriod is how often the agent means to beat, within reason.
func beatPeriod(h job.Heartbeat) time.Duration {
	const longest = 24 * time.Hour
	return time.Duration(min(max(h.PeriodMS, 0), longest.Milliseconds())) * time.Millisecond
}

// updateLease stores what a heartbeat changes when nothing else does.
func (t *tx) updateLease(ctx context.Context, row *runRow) error {
	_, err := t.ExecContext(ctx, `UPDATE runs SET heard_at = $2, beat_at = $3, lease_us = $4, expires_at = $5, period_us = $6 WHERE id = $1`,
		row.run.ID, micros(row.heardAt), microsOrNull(row.run.LastHeartbeatAt),
		row.lease.Microseconds(), micros(row.expiresAt), row.period.Microseconds())
	if err != nil {
		return fmt.Errorf("store a heartbeat of run %s: %w", row.run.ID, err)
	}
	return nil
}

func encodeSamples(samples []job.Sample) ([]json.RawMessage, error) {
	var out []json.RawMessage
	for _, s := range samples {
		text, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("encode a sample: %w", err)
		}
		out = append(out, text)
	}
	return out, nil
}
