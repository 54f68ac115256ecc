package tables

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// diagnosable reports whether runs in a state are diagnosed.
func diagnosable(s job.State) bool {
	return s == job.Failed || s == job.TimedOut || s == job.Lost || s == job.Retrying
}

// RequestDiagnosis marks a run to be diagnosed that has ended badly, or has begun to stall.
func RequestDiagnosis(ctx context.Context, t *db.Tx, run *job.Run, before job.Run) error {
	if !diagnosable(run.State) && (!HasStall(run.Findings) || HasStall(before.Findings)) {
		return nil
	}
	if _, err := t.ExecContext(ctx, `UPDATE runs SET diagnose = 1 WHERE id = $1`, run.ID); err != nil {
		return fmt.Errorf("request a diagnosis of run %s: %w", run.ID, err)
	}
	return nil
}

// HasStall reports whether a finding says that the run stalls.
func HasStall(findings []job.Finding) bool {
	for _, f := range findings {
		if f.Rule == "stalled" {
			return true
		}
	}
	return false
}
