package intake

import (
	"context"
	"time"

	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// raise does so for a group, whose runs may not be stored yet: what an end means depends on the
// other runs of the job.
func (g *Group) enqueueChange(ctx context.Context, run *job.Run, events []job.RunEvent, ended, now time.Time) error {
	if n := len(events); n > 0 && run.State.Terminal() {
		for id := range g.DirtyRuns {
			if row := g.Runs[id]; id != run.ID && row.Run.Job == run.Job {
				if err := tables.UpdateRun(ctx, g.Tx, row); err != nil {
					return err
				}
			}
		}
	}
	return outbox.EnqueueChange(ctx, g.Tx, run, events, ended, now)
}
