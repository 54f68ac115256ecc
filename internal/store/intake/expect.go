package intake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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
func afterAppend(ctx context.Context, t *db.Tx, status string, applied *effect, f *index.FoldResult, now time.Time) error {
	run := &applied.row.Run
	if applied.identified {
		if err := BeginEvidence(ctx, t, run, f.State.Limits, now); err != nil {
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
		return addFigures(ctx, t, run.Job, good)
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
	figures, err := readFigures(ctx, t, run.Job, "")
	if err != nil {
		return err
	}
	run.Expected, run.Diagnosis = band.Of(figures), nil
	doc, err := json.Marshal(lease.BeginEvidence(limits, run.Expected, now))
	if err != nil {
		return fmt.Errorf("encode the evidence of run %s: %w", run.ID, err)
	}
	return t.Queue(ctx, db.Statement{
		Query: `UPDATE runs SET evidence = $2, beat = NULL, status = '', disconnected_at = 0, diagnose = 0, host = $3 WHERE id = $1`,
		Args:  []any{run.ID, string(doc), run.Host}, What: "begin the evidence of run " + run.ID,
	})
}

// readFigures returns the figures of the last good runs of a job; lock is the end of the query. Figures
// that cannot be read are none: the next good run replaces them.
func readFigures(ctx context.Context, t *db.Tx, name, lock string) ([]band.GoodRun, error) {
	var text []byte
	var figures []band.GoodRun
	err := t.ReadRow(ctx, `SELECT figures FROM job_bands WHERE job = $1`+lock, []any{name}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is usual for job %s: %w", name, err)
	}
	if json.Unmarshal(text, &figures) != nil {
		return nil, nil
	}
	return figures, nil
}

func addFigures(ctx context.Context, t *db.Tx, name string, good band.GoodRun) error {
	figures, err := readFigures(ctx, t, name, t.Dialect.Lock)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(band.Add(figures, good))
	if err != nil {
		return fmt.Errorf("encode what is usual for job %s: %w", name, err)
	}
	return t.Queue(ctx, db.Statement{
		Query: `INSERT INTO job_bands (job, figures) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET figures = $2`, Args: []any{name, string(doc)},
		What: "store what is usual for job " + name,
	})
}

// noteBeat stores the heartbeat of a run that is updated apart.
func noteBeat(ctx context.Context, t *db.Tx, b lease.Beat) error {
	_, err := t.ExecContext(ctx, `UPDATE runs SET beat = $2, disconnected_at = 0 WHERE id = $1`, b.Run, encodeBeat(b.Heartbeat))
	if err != nil {
		return fmt.Errorf("store a heartbeat of run %s: %w", b.Run, err)
	}
	return nil
}

// encodeBeat returns a heartbeat as JSON; an empty object if a figure is not a number.
func encodeBeat(hb job.Heartbeat) string {
	text, err := json.Marshal(hb)
	if err != nil {
		return "{}"
	}
	return string(text)
}
