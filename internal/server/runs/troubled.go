package runs

import (
	"context"

	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// maxTroubledItems bounds the answer to a request for troubled items.
const maxTroubledItems = 500

type troubledItems struct {
	Items []job.TroubledItem `json:"items" nullable:"false" doc:"Those that failed last come first; 500 at the most"`
}

// ListTroubled answers what the server could not do for single runs, objects and routes, and
// tries again later.
func (s *Runs) ListTroubled(ctx context.Context, _ *struct{}) (*route.Answer[troubledItems], error) {
	items, err := s.Store.Troubled(ctx, maxTroubledItems)
	if err != nil {
		return nil, s.Internal(ctx, "read troubled items", err)
	}
	return route.OK(troubledItems{items})
}
