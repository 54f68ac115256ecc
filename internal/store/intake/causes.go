package intake

import (
	"context"
	"time"

	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// enqueueChange stores the outbox rows that a change of a run asks for. They depend on the other runs of
// the job, so those of the group that have changed are stored first, each once.
func (g *Group) enqueueChange(ctx context.Context, row *tables.RunRow, events []job.RunEvent, ended, now time.Time) error {
	if n := len(events); n > 0 && row.Run.State.Terminal() {
		for id := range g.DirtyRuns {
			if other := g.Runs[id]; id != row.Run.ID && other.Run.Job == row.Run.Job {
				if err := tables.UpdateRun(ctx, g.Tx, other); err != nil {
					return err
				}
				delete(g.DirtyRuns, id)
			}
		}
	}
	return outbox.EnqueueChange(ctx, g.Tx, row, events, ended, now)
}
