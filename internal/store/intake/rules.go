package intake

import (
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// FirstLease returns the lease of a run before its first heartbeat.
func FirstLease(period time.Duration) time.Duration { return max(30*time.Second, 3*period) }

// NewRun returns the row of a run of which the server receives something for the first time. The
// agent's clock is behind by offset.
func NewRun(s *index.State, offset time.Duration, now time.Time) tables.RunRow {
	run := job.Run{ID: s.Run, Job: s.View.Job, State: job.Queued, CreatedAt: now, StartAt: now, Findings: []job.Finding{}}
	if started := s.View.StartedAt; started != nil {
		run.StartAt = db.FromMicros(db.Micros(job.ServerTime(*started, offset, now)))
	}
	run.DeliveredLateSeconds = job.DeliveredLate(run.StartAt, now).Seconds()
	return tables.RunRow{Run: run}
}

// effect is what an append does to its run.
type effect struct {
	row    tables.RunRow
	events []job.RunEvent
	owner  bool // the run shows this attempt
	begins bool // the attempt became the owner with this append
	// identified says that the identity of the attempt arrived: with begins, or later if the run showed the attempt
	// before, because of its process's token.
	identified bool
}

// applyAppend returns the effect of an append on its run. before is the state of the attempt before the
// append, and f the result of the append. The error is *index.RefusedError if the attempt cannot begin
// now. orphaned says that another process has taken over the journal of a dead agent: then the rest of
// it ends a lost run, and does not make it active.
func applyAppend(row tables.RunRow, before *index.State, orphaned bool, f *index.FoldResult, now time.Time) (effect, error) {
	view, facts := &f.State.View, f.Facts
	run := row.Run
	if view.Job != run.Job {
		return effect{}, &index.RefusedError{Why: fmt.Sprintf("run %s belongs to job %s, not to %s", run.ID, job.Quote(run.Job), job.Quote(view.Job))}
	}
	if f.State.Attempt < run.Attempt {
		return effect{row: row}, nil
	}
	out := effect{owner: true, identified: !before.Known()}
	if f.State.Attempt > run.Attempt {
		var err error
		if run, out.events, err = allowAttempt(run, f.State.Attempt, now); err != nil {
			return effect{}, err
		}
		out.begins, out.identified = true, true
		row.Run = run
		beginAttempt(&row, &f.State)
		run = row.Run
	}
	switch {
	case run.State != job.Lost && !waitsForNext(&run) || !before.Known() || out.begins:
	case orphaned && !f.State.Ended:
		facts = nil
	default:
		row.WhenLost = diagnosisWhenLost(&row)
		run, out.events = revive(run, before, now, "More of its journal arrived.")
	}
	run, events := index.Advance(run, facts, now)
	out.events = outbox.CompleteLost(append(out.events, events...))
	if run.State == job.Retrying && run.Cancel != nil { // the agent had not received it
		stopped, event, err := index.Move(run, job.Event{Kind: job.StopRequested}, now, index.ServerClock, index.StopEvidence(run.Cancel.By, "")+" before the attempt ended.")
		if err == nil && event != nil {
			run, out.events = stopped, append(out.events, *event)
		}
	}
	row.Run = tables.WithAttempt(run, view)
	row.ReportedAt = db.Latest(row.ReportedAt, now) // a heartbeat may have arrived meanwhile
	row.ExpiresAt = db.Latest(row.ExpiresAt, now.Add(row.Lease))
	out.row = row
	return out, nil
}

// allowAttempt moves a run to a state in which another attempt may begin. An agent may retry a run that
// failed or timed out, but not one that was canceled or has succeeded. If the attempt before has not
// ended, the error is *index.TooEarlyError, and the agent tries again later.
func allowAttempt(run job.Run, attempt int, now time.Time) (job.Run, []job.RunEvent, error) {
	switch {
	case canBeginAttempt(run.State):
		return run, nil, nil
	case run.State == job.Failed || run.State == job.TimedOut:
		evidence := fmt.Sprintf("An agent began attempt %d.", attempt)
		run, event, err := index.Move(run, job.Event{Kind: job.RetryRequested}, now, index.ServerClock, evidence)
		if err == nil && event != nil {
			return run, []job.RunEvent{*event}, nil
		}
	case run.State.Active():
		return run, nil, &index.TooEarlyError{Why: fmt.Sprintf("attempt %d of run %s is %s here: attempt %d can begin when it has ended", run.Attempt, run.ID, run.State, attempt)}
	}
	return run, nil, &index.RefusedError{Why: fmt.Sprintf("run %s is %s in attempt %d: attempt %d cannot begin now", run.ID, run.State, run.Attempt, attempt)}
}

// isTooEarly reports whether an attempt may begin later, when the one before it has ended.
func isTooEarly(err error) bool {
	var early *index.TooEarlyError
	return errors.As(err, &early)
}

// canBeginAttempt reports whether a new attempt may begin in this state. The state machine also allows
// attempt_started in starting, for the attempt that is starting itself.
func canBeginAttempt(s job.State) bool {
	t, err := job.Next(s, job.Event{Kind: job.AttemptStarted}, time.Time{})
	return err == nil && t.Changed()
}

// waitsForNext reports whether a submitted run waits for its next attempt because the last one was lost, which
// may report again.
func waitsForNext(run *job.Run) bool {
	return run.Submitted != nil && run.State == job.Retrying && run.EndedAt == nil
}

// diagnosisWhenLost returns the diagnosis of a lost run that becomes active again.
func diagnosisWhenLost(row *tables.RunRow) *job.Diagnosis {
	if row.Run.Diagnosis != nil {
		return row.Run.Diagnosis
	}
	return row.WhenLost
}

// isBacklog reports whether the journal of a run is delivered late: the newest sign of its attempt, the
// last record that arrived or a heartbeat, is job.LateAfter old or older. A run of a live agent sends
// heartbeats, also while its journal catches up.
func isBacklog(run *job.Run, lastRecord, now time.Time) bool {
	newest := lastRecord
	if beat := run.LastHeartbeatAt; beat != nil {
		newest = db.Latest(newest, *beat)
	}
	return now.Sub(newest) >= job.LateAfter
}

// revive returns a lost run whose attempt has reported again, active as its journal says.
func revive(run job.Run, s *index.State, now time.Time, evidence string) (job.Run, []job.RunEvent) {
	state := s.View.State
	if !s.Known() { // its permit was recalled, and its journal has not arrived
		state = job.Starting
	}
	run, event, err := index.Move(run, job.Event{Kind: job.Heard, State: state}, now, index.ServerClock, evidence)
	if err != nil || event == nil {
		return run, nil
	}
	return run, []job.RunEvent{*event}
}
