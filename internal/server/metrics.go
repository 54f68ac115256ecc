package server

import (
	"fmt"
	"io"
	"net/http"

	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/job"
)

// serverMetrics are the server's own figures. Each server has its own set, so that tests
// and several servers in one process do not add up.
type serverMetrics struct {
	set *metrics.Set

	panics, agentsGone *metrics.Counter
	wrongTokens        *metrics.Counter
	connsRefused       *metrics.Counter
	// streamReaders counts the readers of live streams that are connected now.
	streamReaders *metrics.Gauge
}

func newServerMetrics(s *Server) *serverMetrics {
	set := metrics.NewSet()
	m := &serverMetrics{
		set:           set,
		panics:        set.NewCounter("stint_panics_total"),
		agentsGone:    set.NewCounter("stint_agents_gone_total"),
		wrongTokens:   set.NewCounter("stint_wrong_tokens_total"),
		connsRefused:  set.NewCounter("stint_connections_refused_total"),
		streamReaders: set.NewGauge("stint_stream_readers", nil),
	}
	set.NewGauge("stint_connections", func() float64 { return float64(s.conns.Used()) })
	set.NewGauge(fmt.Sprintf("stint_info{version=%q}", s.cfg.Version), func() float64 { return 1 })
	set.NewGauge("stint_restored_copy", func() float64 {
		if s.copiedAt() != nil {
			return 1
		}
		return 0
	})
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

// events counts changes of state, by the state that was entered.
func (m *serverMetrics) events(events []job.RunEvent) {
	for _, e := range events {
		if e.Kind == "state" && e.From != e.To {
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
