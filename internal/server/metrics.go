package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/job"
)

// serverMetrics are the server's own figures. Each server has its own set, so that tests
// and several servers in one process do not add up.
type serverMetrics struct {
	set *metrics.Set

	appends, appendBytes *metrics.Counter
	beats                *metrics.Counter
	refusedBusy          *metrics.Counter
	commitFailures       *metrics.Counter
	commitSeconds        *metrics.Histogram
	groupSize            *metrics.Histogram
	commitTook           atomic.Int64 // nanoseconds of the last commit
	panics, agentsGone   *metrics.Counter
	wrongTokens          *metrics.Counter
	connsRefused         *metrics.Counter
	// streamReaders counts the readers of live streams that are connected now.
	streamReaders *metrics.Gauge
}

func newServerMetrics(s *Server) *serverMetrics {
	set := metrics.NewSet()
	m := &serverMetrics{
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
		panics:        set.NewCounter("stint_panics_total"),
		agentsGone:    set.NewCounter("stint_agents_gone_total"),
		wrongTokens:   set.NewCounter("stint_wrong_tokens_total"),
		connsRefused:  set.NewCounter("stint_connections_refused_total"),
		streamReaders: set.NewGauge("stint_stream_readers", nil),
	}
	set.NewGauge("stint_body_bytes", func() float64 { return float64(s.bodies.Used()) })
	set.NewGauge("stint_connections", func() float64 { return float64(s.conns.Used()) })
	set.NewGauge("stint_queue_bytes", func() float64 { return float64(s.committer.queued()) })
	set.NewGauge(fmt.Sprintf("stint_info{version=%q}", s.cfg.Version), func() float64 { return 1 })
	set.NewGauge("stint_restored_copy", func() float64 {
		if s.copiedAt() != nil {
			return 1
		}
		return 0
	})
	set.NewGauge("stint_heartbeat_wait_seconds", func() float64 { return s.committer.behind().Seconds() })
	set.Collect(func(w io.Writer) { writeExtension(w, s.cfg.Extension()) })
	set.Collect((&storeFigures{store: s.store, now: s.now}).write)
	return m
}

// writeExtension shows whether, and how often, leases are extended.
func writeExtension(w io.Writer, e health.Extension) {
	extended := 0.0
	if !e.Since.IsZero() {
		extended = 1
	}
	one := func(name, kind string, v float64) { metrics.Write(w, name, kind, metrics.Sample{Value: v}) }
	one("stint_leases_extended", "gauge", extended)
	one("stint_leases_capped", "gauge", float64(e.Capped))
	one("stint_lease_extensions_total", "counter", float64(e.Outages))
	one("stint_outage_seconds_total", "counter", e.Seconds)
}

// commit counts one try to commit a group.
func (m *serverMetrics) commit(took time.Duration, entries int, err error) {
	m.commitSeconds.Update(took.Seconds())
	m.commitTook.Store(int64(took))
	m.groupSize.Update(float64(entries))
	if err != nil {
		m.commitFailures.Inc()
	}
}

// appended counts an append that is durable.
func (m *serverMetrics) appended(a index.Append, done index.Appended) {
	m.appends.Inc()
	m.appendBytes.Add(len(a.Data))
	m.events(done.Events)
}

// appendRefused counts appends by why they were refused.
func (m *serverMetrics) appendRefused(err error) {
	var offset *index.OffsetError
	var taken *index.TakenError
	why := "invalid"
	switch {
	case errors.As(err, &offset):
		why = "offset"
	case errors.As(err, &taken):
		why = "taken"
	}
	m.set.GetOrCreateCounter(fmt.Sprintf("stint_appends_refused_total{why=%q}", why)).Inc()
}

// events counts changes of state, by the state that was entered.
func (m *serverMetrics) events(events []job.RunEvent) {
	for _, e := range events {
		if e.Kind == "state" {
			m.set.GetOrCreateCounter(fmt.Sprintf("stint_run_changes_total{to=%q}", e.To)).Inc()
		}
	}
}

// getMetrics answers the figures in the text format of Prometheus.
func (s *Server) getMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.metrics.set.WritePrometheus(w)
	metrics.WriteProcess(w)
	metrics.WriteRuntime(w)
}
