package store

import (
	"context"
	"time"

	"stint.dev/stint/internal/query"
)

// Figures returns the figures of the store, for metrics.
func (s *Store) Figures(ctx context.Context, now time.Time) (query.Figures, error) {
	f, err := s.Health.Figures(ctx, now)
	if err != nil {
		return f, err
	}
	f.Occurrences = s.OccurrenceCounts()
	f.SchedulesLate, err = s.Late(ctx, now)
	return f, err
}
