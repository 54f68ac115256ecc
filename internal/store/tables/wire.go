package tables

import (
	"context"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// SetWireRun notes that a new run is the last one of its job on a wire.
func SetWireRun(ctx context.Context, t *db.Tx, run *job.Run, w index.Wire) error {
	return t.Queue(ctx, db.Statement{
		Query: `INSERT INTO wire_runs (job, wire, rid, run_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (job, wire, rid) DO UPDATE SET run_id = $4`, Args: []any{run.Job, w.Name, w.RID, run.ID},
		What: "note run " + run.ID + " as the last one of its job on the wire " + w.Name,
	})
}
