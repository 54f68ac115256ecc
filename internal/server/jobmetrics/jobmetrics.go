// Package jobmetrics answers with figures of jobs in the text format of Prometheus.
package jobmetrics

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
)

// Store reads the figures of jobs, with the values of some labels of their last runs.
type Store interface {
	JobFigures(ctx context.Context, labels []string) (query.JobsFigures, error)
}

const (
	// interval is the least time between two readings of the figures.
	interval = 10 * time.Second
	// timeout is how long a reading may take.
	timeout = 10 * time.Second
)

// Metrics answers the call.
type Metrics struct {
	httpio.ErrorWriter
	store  Store
	now    func() time.Time
	labels []Label

	turn   chan struct{} // holds one token during a reading
	readAt time.Time
	last   *query.JobsFigures // nil before the first reading
}

// New returns the Metrics of a store. Series have the given labels of the last run of their job.
func New(errors httpio.ErrorWriter, store Store, now func() time.Time, labels []Label) *Metrics {
	return &Metrics{ErrorWriter: errors, store: store, now: now, labels: labels, turn: make(chan struct{}, 1)}
}

// Doc describes Get.
var Doc = route.Doc{
	Text: "Figures of up to 10,000 jobs in the text format of Prometheus, as the database had them within the last 10 seconds. " +
		"Responds with 503 if the database does not respond within 10 seconds.",
	Answers: []route.Content{route.Media("text/plain", nil)}, Errors: []int{503},
}

// Get responds with the figures of all jobs.
func (m *Metrics) Get(w http.ResponseWriter, r *http.Request) {
	if err := httpio.NewParams(r).Err; err != nil {
		m.Fail(w, r, err)
		return
	}
	figures, err := m.read(r.Context())
	if err != nil {
		m.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Add("Vary", "Accept-Encoding")
	var to io.Writer = w
	if httpio.WantsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		z := httpio.GzipWriter(w)
		defer z.Close() //nolint:errcheck // the client has gone
		to = z
	}
	out := bufio.NewWriterSize(to, 64<<10)
	write(out, figures, m.labels)
	_ = out.Flush() // an error of writing only matters to the client, which sees a shorter response
}

// read returns the figures, which nobody changes. Requests that come while they are read wait for them; a client that
// reads the response slowly keeps no other waiting.
func (m *Metrics) read(ctx context.Context) (*query.JobsFigures, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := m.now()
	if age := now.Sub(m.readAt); m.last != nil && age >= 0 && age < interval {
		return m.last, nil
	}
	keys := make([]string, len(m.labels))
	for i, l := range m.labels {
		keys[i] = l.Key
	}
	// A client that has gone does not end the reading: the next one gets its result.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	figures, err := m.store.JobFigures(limited, keys)
	if err != nil && limited.Err() != nil {
		return nil, httpio.Busy(http.StatusServiceUnavailable, interval, "the figures of jobs could not be read within %s: the database is slow or does not respond", timeout)
	}
	if err != nil {
		return nil, err
	}
	m.readAt, m.last = now, &figures
	return m.last, nil
}
