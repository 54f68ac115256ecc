package intake

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/metrics"
)

// counters are the metrics of an Intake.
type counters struct {
	set *metrics.Set

	appends, appendBytes *metrics.Counter
	beats                *metrics.Counter
	refusedBusy          *metrics.Counter
	commitFailures       *metrics.Counter
	commitSeconds        *metrics.Histogram
	groupSize            *metrics.Histogram
	commitTook           atomic.Int64 // nanoseconds of the last commit
}

func newCounters(set *metrics.Set) *counters {
	return &counters{
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
	m.set.GetOrCreateCounter(fmt.Sprintf("stint_appends_refused_total{why=%q}", why)).Inc()
}
