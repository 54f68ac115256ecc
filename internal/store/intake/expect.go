package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"stint.dev/stint/internal/band"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// afterAppend stores what the judgement of health needs of an append: what an attempt begins
// with, the status that the job set, and what a good run adds to the band of its job.
func (g *Group) afterAppend(ctx context.Context, status string, applied *effect, f *index.FoldResult, now time.Time) error {
	t, run := g.Tx, &applied.row.Run
	if applied.identified {
		usual, err := g.figuresOf(ctx, run.Job)
		if err != nil {
			return err
		}
		if err := beginEvidence(ctx, t, run, usual, f.State.Limits, now); err != nil {
			return err
		}
		status = ""
	}
	if run.Status != status {
		if err := StoreStatus(ctx, t, run); err != nil {
			return err
		}
	}
	if len(applied.events) == 0 {
		return nil
	}
	if err := tables.RequestDiagnosis(ctx, t, run, job.Run{}); err != nil {
		return err
	}
	if last := applied.events[len(applied.events)-1]; last.Kind != "state" || last.To != string(job.Succeeded) {
		return nil
	}
	if good, ok := band.GoodRunOf(*run); ok {
		g.addFigures(run.Job, good)
	}
	return nil
}

// StoreStatus stores the status that a job has set.
func StoreStatus(ctx context.Context, t *db.Tx, run *job.Run) error {
	if _, err := t.ExecContext(ctx, `UPDATE runs SET status = $2 WHERE id = $1`, run.ID, run.Status); err != nil {
		return fmt.Errorf("store the status of run %s: %w", run.ID, err)
	}
	return nil
}

// BeginEvidence stores what the health of an attempt is judged by when it begins, and the host of the
// run. It sets what is usual for the job in the run.
func BeginEvidence(ctx context.Context, t *db.Tx, run *job.Run, limits index.Limits, now time.Time) error {
	read, err := readFigures(ctx, t, []string{run.Job}, "")
	if err != nil {
		return err
	}
	return beginEvidence(ctx, t, run, read[run.Job], limits, now)
}

// beginEvidence is BeginEvidence with the figures of the last good runs of the job.
func beginEvidence(ctx context.Context, t *db.Tx, run *job.Run, usual []band.GoodRun, limits index.Limits, now time.Time) error {
	run.Expected, run.Diagnosis = band.Of(usual), nil
	doc, err := json.Marshal(lease.BeginEvidence(limits, run.Expected, now))
	if err != nil {
		return fmt.Errorf("encode the evidence of run %s: %w", run.ID, err)
	}
	return t.Queue(ctx, db.Statement{
		Query: `UPDATE runs SET evidence = $2, beat = NULL, status = '', disconnected_at = 0, diagnose = 0, host = $3 WHERE id = $1`,
		Args:  []any{run.ID, string(doc), run.Host}, What: "begin the evidence of run " + run.ID,
	})
}

// noteBeat stores the heartbeat of a run that is updated apart.
func noteBeat(ctx context.Context, t *db.Tx, b lease.Beat) error {
	_, err := t.ExecContext(ctx, `UPDATE runs SET beat = $2, disconnected_at = 0 WHERE id = $1`, b.Run, lease.Encode(b.Heartbeat))
	if err != nil {
		return fmt.Errorf("store a heartbeat of run %s: %w", b.Run, err)
	}
	return nil
}
