package health

import (
	"context"
	"time"

	"stint.dev/stint/internal/keep"
	"stint.dev/stint/job/api"
)

// PendingKeeps returns the limits of retention that wait, as they are shown.
func PendingKeeps(pending []keep.Pending, now time.Time) []api.PendingKeep {
	var out []api.PendingKeep
	for _, p := range pending {
		out = append(out, api.PendingKeep{
			Setting: p.Name(), Job: p.Job, Keep: p.Number(p.Limit), KeepNow: p.Number(p.Now), Runs: p.Runs, Of: p.Of,
			SeenAt: p.SeenAt, InSeconds: int64(p.Left() / time.Second), AppliesAt: p.AppliesAt(now),
		})
	}
	return out
}

// pendingOf returns the limits of the policy of a job that wait.
func (s *Routes) pendingOf(ctx context.Context, name string) ([]api.PendingKeep, error) {
	all, err := s.Store.PendingLimits(ctx)
	if err != nil {
		return nil, err
	}
	var own []keep.Pending
	for _, p := range all {
		if p.Job == name {
			own = append(own, p)
		}
	}
	return PendingKeeps(own, s.Now()), nil
}
