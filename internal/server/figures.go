package server

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// storeFigures shows what the store counts, and asks it at most every few seconds.
type storeFigures struct {
	store Store
	now   func() time.Time

	mu    sync.Mutex
	at    time.Time
	known *index.Figures
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
func writeFigures(w io.Writer, f index.Figures) {
	states, healths := map[job.State]int{}, map[job.Health]int{}
	for _, c := range f.Active {
		states[c.State] += c.Runs
		healths[c.Health] += c.Runs
	}
	metrics.WriteMetadataIfNeeded(w, "stint_active_runs", "gauge")
	for _, st := range job.States() {
		if !st.Terminal() {
			_, _ = fmt.Fprintf(w, "stint_active_runs{state=%q} %d\n", st, states[st])
		}
	}
	metrics.WriteMetadataIfNeeded(w, "stint_active_runs_by_health", "gauge")
	for _, h := range []job.Health{job.Healthy, job.Warning, job.Critical} {
		_, _ = fmt.Fprintf(w, "stint_active_runs_by_health{health=%q} %d\n", h, healths[h])
	}
	gauge := func(name string, v float64) {
		metrics.WriteMetadataIfNeeded(w, name, "gauge")
		_, _ = fmt.Fprintf(w, "%s %g\n", name, v)
	}
	gauge("stint_outbox_pending", float64(f.OutboxPending))
	gauge("stint_outbox_oldest_seconds", f.OutboxOldest.Seconds())
	gauge("stint_database_connections", float64(f.DatabaseConnections))
	gauge("stint_database_connections_in_use", float64(f.DatabaseInUse))
	metrics.WriteMetadataIfNeeded(w, "stint_database_wait_seconds_total", "counter")
	_, _ = fmt.Fprintf(w, "stint_database_wait_seconds_total %g\n", f.DatabaseWaits.Seconds())
}
