package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// verdictsTogether is the number of verdicts that one transaction stores; heartbeats wait for it.
const verdictsTogether = 500

// Judge stores verdicts on active and waiting runs: findings, health and, for a run whose lease has expired, the
// state lost. A verdict is applied only if the run has not reported since the Lease that was judged.
// It returns the runs that changed. A verdict that cannot be stored affects only its run, and is tried
// again after a pause.
func (s *Health) Judge(ctx context.Context, verdicts []lease.Verdict) ([]lease.VerdictResult, error) {
	verdicts = troubled.ByRun(verdicts, func(v lease.Verdict) string { return v.Run })
	verdicts = slices.DeleteFunc(verdicts, func(v lease.Verdict) bool { return s.IsPaused(troubled.Judge, v.Run) })
	if len(verdicts) == 0 {
		return nil, nil
	}
	var all []lease.VerdictResult
	store := func(some []lease.Verdict) error {
		judged, err := s.judgeTogether(ctx, some)
		if err != nil {
			return err
		}
		for _, v := range some {
			s.ClearFailure(ctx, troubled.Judge, v.Run)
		}
		all = append(all, judged...)
		return nil
	}
	bad := func(one lease.Verdict, err error) { s.RecordFailure(ctx, troubled.Judge, one.Run, err) }
	for some := range slices.Chunk(verdicts, verdictsTogether) {
		if err := troubled.Isolate(ctx, s.DB, some, store, bad); err != nil {
			return nil, fmt.Errorf("store %d verdicts: %w", len(verdicts), err)
		}
	}
	return all, nil
}

func (s *Health) judgeTogether(ctx context.Context, verdicts []lease.Verdict) (judged []lease.VerdictResult, err error) {
	err = s.Write(ctx, db.RunsOf(verdicts, func(v lease.Verdict) string { return v.Run }), func(t *db.Tx) error {
		judged = nil
		for _, v := range verdicts {
			one, err := s.judgeOne(ctx, t, v)
			if err != nil {
				return err
			}
			if one != nil {
				judged = append(judged, *one)
			}
		}
		return nil
	})
	return judged, err
}

func (s *Health) judgeOne(ctx context.Context, t *db.Tx, v lease.Verdict) (*lease.VerdictResult, error) {
	row, err := tables.LockRun(ctx, t, v.Run)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return nil, nil // deleted since
	}
	if err != nil {
		return nil, err
	}
	waits := row.Run.State == job.Queued || row.Run.State == job.Retrying
	if row.Run.Attempt != v.Attempt || v.Waiting != waits || !waits && (db.Micros(row.ReportedAt) != db.Micros(v.ReportedAt) || !row.Run.State.Active()) {
		return nil, nil
	}
	run, events, changed := applyVerdict(row.Run, v)
	if !changed {
		return nil, nil
	}
	before := row.Run
	row.Run = run
	if err := tables.InsertEvents(ctx, t, events); err != nil {
		return nil, err
	}
	if err := outbox.EnqueueVerdict(ctx, t, &row, v); err != nil {
		return nil, err
	}
	if events, err = s.follow(ctx, t, &row, events, v); err != nil {
		return nil, err
	}
	if err := tables.UpdateRun(ctx, t, &row); err != nil {
		return nil, err
	}
	if err := tables.RequestDiagnosis(ctx, t, &row.Run, before); err != nil {
		return nil, err
	}
	return &lease.VerdictResult{Run: row.Run, Events: events}, nil
}

// follow does what follows the loss of an attempt of a submitted run, and returns the events with what that
// adds.
func (s *Health) follow(ctx context.Context, t *db.Tx, row *tables.RunRow, events []job.RunEvent, v lease.Verdict) ([]job.RunEvent, error) {
	if !v.Lost || s.submissions == nil || row.Run.Submitted == nil {
		return events, nil
	}
	event, err := s.submissions.AfterEnd(ctx, t, row, false, db.FromMicros(db.Micros(v.At)))
	if err != nil || event == nil {
		return events, err
	}
	next := []job.RunEvent{*event}
	if err := tables.InsertEvents(ctx, t, next); err != nil {
		return events, err
	}
	return append(events, next...), nil
}

// applyVerdict returns an active or a waiting run after a verdict. A lost run has the outcome lost, and no time of its
// end, because nobody knows it.
func applyVerdict(run job.Run, v lease.Verdict) (next job.Run, events []job.RunEvent, changed bool) {
	at := db.FromMicros(db.Micros(v.At))
	if v.Lost {
		run, event, err := index.Move(run, job.Event{Kind: job.LeaseExpired}, at, index.ServerClock, v.Evidence)
		if err != nil || event == nil {
			return run, nil, false
		}
		run.Outcome = &job.Outcome{State: job.Lost, Reason: job.AgentLost, Disconnected: v.Disconnected, Message: v.Evidence}
		return run, []job.RunEvent{*event}, true
	}
	findings := v.Findings
	if findings == nil {
		findings = []job.Finding{}
	}
	if run.Health == v.Health && sameFindings(run.Findings, findings) {
		return run, nil, false
	}
	if run.Health != v.Health {
		events = append(events, job.RunEvent{
			Run: run.ID, Attempt: run.Attempt, At: at, Clock: index.ServerClock, Kind: "health",
			From: string(cmp.Or(run.Health, job.Healthy)), To: string(cmp.Or(v.Health, job.Healthy)), Rule: worstRule(findings), Evidence: v.Evidence,
		})
	}
	run.Health, run.Findings = v.Health, findings
	if run.State.Active() && !tables.HasStall(findings) && run.State != job.Stopping { // where it stops, the stall may be why
		run.Diagnosis = nil // of a stall that has ended
	}
	return run, events, true
}

// worstRule returns the rule of the finding that decides the health; "recovered" if there is none.
func worstRule(findings []job.Finding) string {
	rule := "recovered"
	for i, f := range findings {
		if i == 0 || f.Health == job.Critical {
			rule = f.Rule
		}
		if f.Health == job.Critical {
			break
		}
	}
	return rule
}

// sameFindings reports whether findings are equal, with times compared by instant and without facts,
// which are those of the time at which a finding last changed.
func sameFindings(a, b []job.Finding) bool {
	return slices.EqualFunc(a, b, func(x, y job.Finding) bool {
		if !x.Since.Equal(y.Since) || (x.NextAt == nil) != (y.NextAt == nil) || x.NextAt != nil && !x.NextAt.Equal(*y.NextAt) {
			return false
		}
		x.Since, x.NextAt, y.Since, y.NextAt = time.Time{}, nil, time.Time{}, nil
		x.Facts, y.Facts = nil, nil
		return reflect.DeepEqual(x, y)
	})
}
