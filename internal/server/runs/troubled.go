package runs

import (
	"context"

	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// maxTroubledItems is how many troubled items a response has at most.
const maxTroubledItems = 500

type troubledItems struct {
	Items []job.TroubledItem `json:"items" nullable:"false" doc:"The items that failed last, at most 500, latest first"`
}

// ListTroubled responds with the runs, objects and routes that the server could not process and tries
// again later.
func (s *Runs) ListTroubled(ctx context.Context, _ *struct{}) (*route.Response[troubledItems], error) {
	items, err := s.Store.Troubled(ctx, maxTroubledItems)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read troubled items", err)
	}
	return route.OK(troubledItems{items})
}
