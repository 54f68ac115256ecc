package server

import (
	"io"
	"net/http"

	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/job"
)

// serverMetrics are the metrics of one server. Each server has a set of its own, so that several
// servers in one process, such as in tests, do not share counters.
type serverMetrics struct {
	set *metrics.Set

	panics       *metrics.Counter // requests whose handler panicked
	agentsGone   *metrics.Counter // agents that closed the connection of their heartbeats
	wrongTokens  *metrics.Counter
	connsRefused *metrics.Counter
}

func newServerMetrics(s *Server) *serverMetrics {
	set := metrics.NewSet()
	m := &serverMetrics{
		set:          set,
		panics:       set.NewCounter("stint_panics_total"),
		agentsGone:   set.NewCounter("stint_agents_gone_total"),
		wrongTokens:  set.NewCounter("stint_wrong_tokens_total"),
		connsRefused: set.NewCounter("stint_connections_refused_total"),
	}
	set.NewGauge("stint_stream_readers", func() float64 { return float64(s.broker.Readers()) })
	set.NewGauge("stint_connections", func() float64 { return float64(s.conns.Used()) })
	set.NewGauge("stint_info{"+metrics.Label("version", s.cfg.Version)+"}", func() float64 { return 1 })
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

// writeExtension writes whether leases are extended, and how often they were.
func writeExtension(w io.Writer, e health.Extension) {
	extended := 0.0
	if !e.Since.IsZero() {
		extended = 1
	}
	write := func(name, kind string, v float64) { metrics.Write(w, name, kind, metrics.Sample{Value: v}) }
	write("stint_leases_extended", "gauge", extended)
	write("stint_leases_capped", "gauge", float64(e.Capped))
	write("stint_lease_extensions_total", "counter", float64(e.Outages))
	write("stint_outage_seconds_total", "counter", e.Seconds)
}

// countEvents counts changes of state, by the new state.
func (m *serverMetrics) countEvents(events []job.RunEvent) {
	for _, e := range events {
		if e.Kind == "state" && e.From != e.To {
			m.set.GetOrCreateCounter("stint_run_changes_total{" + metrics.Label("to", e.To) + "}").Inc()
		}
	}
}

// getMetrics responds with all metrics in the text format of Prometheus.
func (s *Server) getMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	out := metrics.WithHelp(w, metricHelp)
	s.metrics.set.WritePrometheus(out)
	metrics.WriteProcess(w)
	metrics.WriteRuntime(w)
}
