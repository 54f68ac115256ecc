package server

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// storeFigures writes the figures of the store as metrics. It reads them from the store at most
// once in figuresInterval.
type storeFigures struct {
	store Store
	now   func() time.Time

	mu     sync.Mutex
	readAt time.Time
	last   *query.Figures // nil before the first read
}

const figuresInterval = 10 * time.Second

func (s *storeFigures) write(w io.Writer) {
	if f := s.read(); f != nil { // else the figures are missing from this response
		writeFigures(w, *f)
	}
}

// read returns the figures; nil if they cannot be read. A client that reads the response slowly keeps no other from
// reading them.
func (s *storeFigures) read() *query.Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.last == nil || now.Sub(s.readAt) >= figuresInterval {
		ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
		defer cancel()
		f, err := s.store.Figures(ctx, now)
		if err != nil {
			return nil
		}
		s.readAt, s.last = now, &f
	}
	return s.last
}

// writeFigures writes figures as metrics. States and healths without a run are written as 0,
// because an alert cannot compare a metric that is missing.
func writeFigures(w io.Writer, f query.Figures) {
	states, healths := map[job.State]int{}, map[job.Health]int{}
	for _, c := range f.Active {
		states[c.State] += c.Runs
		healths[c.Health] += c.Runs
	}
	var byState, byHealth []metrics.Sample
	for _, st := range job.States() {
		if !st.Terminal() {
			byState = append(byState, metrics.Sample{Labels: metrics.Label("state", string(st)), Value: float64(states[st])})
		}
	}
	for _, h := range []job.Health{job.Healthy, job.Warning, job.Critical} {
		byHealth = append(byHealth, metrics.Sample{Labels: metrics.Label("health", string(h)), Value: float64(healths[h])})
	}
	metrics.Write(w, "stint_active_runs", "gauge", byState...)
	metrics.Write(w, "stint_active_runs_by_health", "gauge", byHealth...)
	writeQueue(w, f.Queue)
	writeQueueOfJobs(w, f.QueueOfJobs)
	metrics.Write(w, "stint_claims_ended_total", "counter",
		metrics.Sample{Labels: `why="released"`, Value: float64(f.ClaimsReleased)}, metrics.Sample{Labels: `why="overdue"`, Value: float64(f.ClaimsOverdue)})
	writeByLabel(w, "stint_occurrences_total", "counter", "result", f.Occurrences)
	gauge := func(name string, v float64) { metrics.Write(w, name, "gauge", metrics.Sample{Value: v}) }
	gauge("stint_schedules_late_seconds", f.SchedulesLate.Seconds())
	gauge("stint_outbox_pending", float64(f.OutboxPending))
	gauge("stint_outbox_oldest_seconds", f.OutboxOldest.Seconds())
	gauge("stint_database_connections", float64(f.DatabaseConnections))
	gauge("stint_database_connections_in_use", float64(f.DatabaseInUse))
	writeByKind(w, "stint_troubled_items", "gauge", f.Troubled)
	writeByKind(w, "stint_item_failures_total", "counter", f.ItemFailures)
	metrics.Write(w, "stint_database_wait_seconds_total", "counter", metrics.Sample{Value: f.DatabaseWaits.Seconds()})
}

// writeByKind writes a metric with one value for each kind of item, in the order of the kinds.
func writeByKind(w io.Writer, name, kind string, counts map[string]int64) {
	writeByLabel(w, name, kind, "kind", counts)
}

// writeByLabel writes a metric with one value for each value of a label, in their order.
func writeByLabel(w io.Writer, name, kind, label string, counts map[string]int64) {
	samples := make([]metrics.Sample, 0, len(counts))
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		samples = append(samples, metrics.Sample{Labels: metrics.Label(label, k), Value: float64(counts[k])})
	}
	metrics.Write(w, name, kind, samples...)
}

// queueGates are the values of the label gate, in the order in which runs pass them.
var queueGates = []string{job.GateHeld, job.GateAfter, job.GateNotBefore, job.GatePaused, job.GateGroup, "ready", "taken"}

// writeQueue writes how many runs wait at each gate of the queue, and how long the first of them has.
func writeQueue(w io.Writer, counts []query.QueueCount) {
	var runs, oldest []metrics.Sample
	for _, gate := range queueGates {
		var one query.QueueCount
		if at := slices.IndexFunc(counts, func(c query.QueueCount) bool { return c.Gate == gate }); at >= 0 {
			one = counts[at]
		}
		labels := metrics.Label("gate", gate)
		runs = append(runs, metrics.Sample{Labels: labels, Value: float64(one.Runs)})
		oldest = append(oldest, metrics.Sample{Labels: labels, Value: one.Oldest.Seconds()})
	}
	metrics.Write(w, "stint_queue_runs", "gauge", runs...)
	metrics.Write(w, "stint_queue_oldest_seconds", "gauge", oldest...)
}

// writeQueueOfJobs writes the figures of jobs in the queue. The label is not job, which is Prometheus's own name of what
// it reads.
func writeQueueOfJobs(w io.Writer, counts []query.JobQueueCount) {
	var runs, oldest []metrics.Sample
	for _, c := range counts {
		labels := metrics.Label("job_name", c.Job)
		runs = append(runs, metrics.Sample{Labels: labels, Value: float64(c.Runs)})
		oldest = append(oldest, metrics.Sample{Labels: labels, Value: c.Oldest.Seconds()})
	}
	metrics.Write(w, "stint_queue_job_runs", "gauge", runs...)
	metrics.Write(w, "stint_queue_job_oldest_seconds", "gauge", oldest...)
}
