package health

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// Undiagnosed returns runs that wait for a diagnosis, the newest first, without paused ones. The diagnosis
// of a lost run is the one that it had before more of its journal arrived.
func (s *Health) Undiagnosed(ctx context.Context, limit int) ([]job.Run, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE diagnose = 1
		AND`+troubled.NotPaused(troubled.Diagnose, "runs.id", 2)+` ORDER BY start_at DESC LIMIT $1`, limit, db.Micros(s.Now()))
	if err != nil {
		return nil, fmt.Errorf("read runs to diagnose: %w", err)
	}
	found, skipped, err := tables.ScanRows(rows)
	if err != nil {
		return nil, fmt.Errorf("read runs to diagnose: %w", err)
	}
	var runs []job.Run
	for _, row := range found {
		if row.Run.State == job.Lost && row.Run.Diagnosis == nil {
			row.Run.Diagnosis = row.WhenLost
		}
		runs = append(runs, row.Run)
	}
	s.RecordUnreadable(ctx, troubled.Diagnose, skipped)
	return runs, nil
}

// DiagnosisFailed records that a run could not be diagnosed. It is tried again after a pause.
func (s *Health) DiagnosisFailed(ctx context.Context, run string, cause error) {
	s.RecordFailure(ctx, troubled.Diagnose, run, cause)
}

// StoreDiagnosis stores the diagnosis of a run, nil for none, unless the run has changed since it was
// read: then it is diagnosed again. It reports whether it stored the diagnosis. A diagnosis is an event
// of the run's history, so that followers of all runs receive it.
func (s *Health) StoreDiagnosis(ctx context.Context, of job.Run, d *job.Diagnosis) (bool, error) {
	stored := false
	err := s.Write(ctx, db.Runs(of.ID), func(t *db.Tx) error {
		stored = false
		row, err := tables.LockRun(ctx, t, of.ID)
		var gone *query.NotFoundError
		if errors.As(err, &gone) {
			return nil
		}
		if err != nil {
			return err
		}
		if row.Run.Attempt != of.Attempt || row.Run.State != of.State || of.State.Terminal() && row.Run.Output.Bytes != of.Output.Bytes {
			return nil
		}
		if _, err := t.ExecContext(ctx, `UPDATE runs SET diagnose = 0 WHERE id = $1`, of.ID); err != nil {
			return err
		}
		stored = true
		if d != nil && !reflect.DeepEqual(d, row.Run.Diagnosis) {
			if err := tables.InsertEvents(ctx, t, []job.RunEvent{{
				Run: of.ID, Attempt: of.Attempt, At: s.Now().UTC(), Clock: index.ServerClock, Kind: job.EventDiagnosed, Rule: job.EventDiagnosed, Evidence: d.Sentence,
			}}); err != nil {
				return err
			}
		}
		row.Run.Diagnosis, row.WhenLost = d, nil
		return tables.UpdateRun(ctx, t, &row)
	})
	if err != nil {
		return false, fmt.Errorf("store the diagnosis of run %s: %w", of.ID, err)
	}
	s.ClearFailure(ctx, troubled.Diagnose, of.ID)
	return stored, nil
}
