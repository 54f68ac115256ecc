package intake

import (
	"errors"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// counters are the metrics of an Intake.
type counters struct {
	set *metrics.Set

	appends, appendBytes *metrics.Counter
	beats                *metrics.Counter
	permits              *metrics.Counter
	refusedBusy          *metrics.Counter
	commitFailures       *metrics.Counter
	commitSeconds        *metrics.Histogram
	groupSize            *metrics.Histogram
	commitTook           atomic.Int64 // nanoseconds of the last commit
}

func newCounters(set *metrics.Set) *counters {
	for _, why := range queue.Refusals() { // an alert cannot compare a metric that is missing
		set.NewCounter(permitsRefused(string(why)))
	}
	return &counters{
		permits:        set.NewCounter("stint_permits_granted_total"),
		set:            set,
		appends:        set.NewCounter("stint_appends_total"),
		appendBytes:    set.NewCounter("stint_journal_bytes_total"),
		beats:          set.NewCounter("stint_heartbeats_total"),
		refusedBusy:    set.NewCounter("stint_refused_busy_total"),
		commitFailures: set.NewCounter("stint_commit_failures_total"),
		commitSeconds: set.NewHistogram("stint_commit_seconds",
			[]float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30}),
		groupSize: set.NewHistogram("stint_commit_entries",
			[]float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}),
	}
}

// countCommit counts one try to commit a group.
func (m *counters) countCommit(took time.Duration, entries int, err error) {
	m.commitSeconds.Update(took.Seconds())
	m.commitTook.Store(int64(took))
	m.groupSize.Update(float64(entries))
	if err != nil {
		m.commitFailures.Inc()
	}
}

// countAppend counts an append that is durable.
func (m *counters) countAppend(a index.Append) {
	m.appends.Inc()
	m.appendBytes.Add(len(a.Data))
}

// permitsRefused is the name of the counter of permits that are refused for a reason.
func permitsRefused(why string) string {
	return "stint_permits_refused_total{" + metrics.Label("why", why) + "}"
}

// countPermit counts an answer to the question for a permit.
func (m *counters) countPermit(done index.Appended) {
	if done.Permit.Answer == job.PermitGranted {
		m.permits.Inc()
		return
	}
	m.set.GetOrCreateCounter(permitsRefused(done.Refusal)).Inc()
}

// countRefused counts a refused append by the reason.
func (m *counters) countRefused(err error) {
	var offset *index.OffsetError
	var taken *index.WriterError
	why := "invalid"
	switch {
	case errors.As(err, &offset):
		why = "offset"
	case errors.As(err, &taken):
		why = "taken"
	}
	m.set.GetOrCreateCounter("stint_appends_refused_total{" + metrics.Label("why", why) + "}").Inc()
}
