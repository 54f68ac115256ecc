package server

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// storeFigures shows what the store counts, and asks it at most every few seconds.
type storeFigures struct {
	store Store
	now   func() time.Time

	mu    sync.Mutex
	at    time.Time
	known *query.Figures
}

const figuresEvery = 10 * time.Second

func (s *storeFigures) write(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.known == nil || now.Sub(s.at) >= figuresEvery {
		ctx, cancel := context.WithTimeout(context.Background(), readyTime)
		defer cancel()
		f, err := s.store.Figures(ctx, now)
		if err != nil {
			return // figures that are not known are left out
		}
		s.at, s.known = now, &f
	}
	writeFigures(w, *s.known)
}

// writeFigures shows states and healths without a run as 0: an alert cannot be made on
// what is not there.
func writeFigures(w io.Writer, f query.Figures) {
	states, healths := map[job.State]int{}, map[job.Health]int{}
	for _, c := range f.Active {
		states[c.State] += c.Runs
		healths[c.Health] += c.Runs
	}
	var byState, byHealth []metrics.Sample
	for _, st := range job.States() {
		if !st.Terminal() {
			byState = append(byState, metrics.Sample{Labels: fmt.Sprintf("state=%q", st), Value: float64(states[st])})
		}
	}
	for _, h := range []job.Health{job.Healthy, job.Warning, job.Critical} {
		byHealth = append(byHealth, metrics.Sample{Labels: fmt.Sprintf("health=%q", h), Value: float64(healths[h])})
	}
	metrics.Write(w, "stint_active_runs", "gauge", byState...)
	metrics.Write(w, "stint_active_runs_by_health", "gauge", byHealth...)
	gauge := func(name string, v float64) { metrics.Write(w, name, "gauge", metrics.Sample{Value: v}) }
	gauge("stint_outbox_pending", float64(f.OutboxPending))
	gauge("stint_outbox_oldest_seconds", f.OutboxOldest.Seconds())
	gauge("stint_database_connections", float64(f.DatabaseConnections))
	gauge("stint_database_connections_in_use", float64(f.DatabaseInUse))
	byKind(w, "stint_troubled_items", "gauge", f.Troubled)
	byKind(w, "stint_item_failures_total", "counter", f.ItemFailures)
	metrics.Write(w, "stint_database_wait_seconds_total", "counter", metrics.Sample{Value: f.DatabaseWaits.Seconds()})
}

// byKind writes one figure for each kind of item, in the order of their names.
func byKind(w io.Writer, name, kind string, counts map[string]int64) {
	samples := make([]metrics.Sample, 0, len(counts))
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		samples = append(samples, metrics.Sample{Labels: fmt.Sprintf("kind=%q", k), Value: float64(counts[k])})
	}
	metrics.Write(w, name, kind, samples...)
}
