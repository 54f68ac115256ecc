package intake

import (
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// Rederive returns the row of a run as the journal of an attempt describes it, of which s is the state
// after all that has arrived. It is the row that intake would have stored, for a row that may be
// damaged. What only the server knows stays, as far as it can follow from the journal: verdicts,
// cancels, retries and health. A run that becomes active is trusted from now on.
func Rederive(row tables.RunRow, s *index.State, now time.Time) tables.RunRow {
	view := &s.View
	if s.Attempt < row.Run.Attempt {
		return row
	}
	wasActive := row.Run.State.Active()
	stays := s.Attempt == row.Run.Attempt && followsFrom(view, &row.Run)
	if s.Attempt > row.Run.Attempt {
		beginAttempt(&row, s)
		wasActive = false
	}
	run := row.Run
	if !stays {
		run.State, run.Diagnosis = view.State, nil
	}
	canceledAt := run.EndedAt
	run = tables.WithAttempt(run, view)
	if run.State != job.Lost && run.State.Terminal() && tables.HasServerVerdict(run) && canceledAt != nil {
		run.EndedAt = canceledAt // it was canceled, or could not be started again, after the attempt had ended
	}
	switch {
	case run.State == job.Retrying && row.Run.State == job.Retrying: // what is found about its wait stays
		run.Health, run.SuspendedAt = "", nil
		if worst := query.WorstFinding(run.Findings); worst != nil {
			run.Health = worst.Health
		}
	case !run.State.Active():
		run.Health, run.Findings, run.SuspendedAt = "", []job.Finding{}, nil
	case run.Health == "":
		run.Health, run.Findings = job.Healthy, []job.Finding{}
	}
	if run.State.Active() && !wasActive {
		row.ReportedAt, row.ExpiresAt, row.Backlog = now, now.Add(row.Lease), true
	}
	row.Run = run
	return row
}

// beginAttempt makes an attempt the one that a row shows.
func beginAttempt(row *tables.RunRow, s *index.State) {
	row.Run.Attempt, row.Run.Cancel = s.Attempt, nil
	row.Period = s.HeartbeatPeriod
	row.Lease, row.WhenLost = FirstLease(row.Period), nil
}

// followsFrom reports whether the state of a run is the one of its attempt's journal, or one to which
// the server alone can have moved it from there.
func followsFrom(view, run *job.Run) bool {
	switch journaled := view.State; {
	case run.State == journaled:
		return true
	case tables.HasServerVerdict(*run):
		return run.State == job.Canceled || run.Submitted != nil || journaled.Active()
	case run.State == job.Stopping:
		return run.Cancel != nil && journaled.Active()
	case run.State == job.Retrying:
		_, err := job.Next(journaled, job.Event{Kind: job.RetryRequested}, time.Time{})
		return err == nil
	case journaled == job.Retrying: // the next attempt did not begin
		return view.Outcome != nil && run.State == view.Outcome.State
	}
	return false
}
