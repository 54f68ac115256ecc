package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"stint.dev/stint/internal/server/httpio"
)

// healthAnswer answers healthz and readyz.
type healthAnswer struct {
	Status  string `json:"status"`
	Version string `json:"version"`
	// Degraded says what works less well than it should, while the server still does its
	// work: it takes heartbeats, and to send agents elsewhere would gain nothing.
	Degraded []string `json:"degraded,omitempty"`
	// CopiedAt is there on a restored copy, where nothing happens by itself.
	CopiedAt *time.Time `json:"copied_at,omitempty"`
}

// copiedAt is when the restored copy was made that the database is; nil for an original.
func (s *Server) copiedAt() *time.Time {
	if s.cfg.CopiedAt.IsZero() {
		return nil
	}
	at := s.cfg.CopiedAt.UTC()
	return &at
}

// getHealthz says that the process lives; it looks at nothing else, so that nobody
// restarts a server because its database is away.
func (s *Server) getHealthz(w http.ResponseWriter, _ *http.Request) {
	httpio.Answer(w, healthAnswer{Status: "ok", Version: s.cfg.Version})
}

// readyTime is how long the database may take to answer readyz.
const readyTime = 3 * time.Second

// readyEvery is how long an answer of the database counts: each needs the one connection
// that writes, and everybody may ask.
const readyEvery = time.Second

// readiness is whether the database answered, when it was asked last.
type readiness struct {
	turn chan struct{} // holds one while it is asked
	at   time.Time
	err  error
}

func newReadiness() readiness { return readiness{turn: make(chan struct{}, 1)} }

// check asks the database, unless somebody else did a moment ago.
func (r *readiness) check(ctx context.Context, store Store, now func() time.Time) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if at := now(); r.at.IsZero() || at.Sub(r.at) >= readyEvery || at.Before(r.at) {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
		defer cancel()
		r.err = store.Ping(limited)
		r.at = now()
	}
	return r.err
}

// getReadyz says whether the server can do its work.
func (s *Server) getReadyz(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.finder.Fail(w, r, httpio.Busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down"))
		return
	}
	if err := s.ready.check(r.Context(), s.store, s.now); err != nil {
		s.log.Warn("the database does not answer", "error", err)
		s.finder.Fail(w, r, httpio.Busy(http.StatusServiceUnavailable, time.Second, "the database does not answer or cannot be written to; the server's log says why"))
		return
	}
	if s.intake.Failing() {
		s.finder.Fail(w, r, httpio.Busy(http.StatusServiceUnavailable, time.Second, "what agents send cannot be stored: is a disk full? The server's log says why"))
		return
	}
	out := healthAnswer{Status: "ok", Version: s.cfg.Version, Degraded: s.degraded(), CopiedAt: s.copiedAt()}
	switch {
	case out.CopiedAt != nil:
		out.Status = "restored copy"
	case len(out.Degraded) > 0:
		out.Status = "degraded"
	}
	httpio.Answer(w, out)
}

// behindMost is how long a heartbeat may wait to be stored before that is worth a word.
const behindMost = 3 * time.Second

// degraded says what works less well than it should.
func (s *Server) degraded() []string {
	var out []string
	if e := s.cfg.Extension(); !e.Since.IsZero() {
		out = append(out, fmt.Sprintf("leases are extended since %s, because %s: runs whose agents died may be called lost later",
			e.Since.UTC().Format(time.RFC3339), e.Cause))
	}
	if behind := s.intake.Behind(); behind > behindMost {
		out = append(out, fmt.Sprintf("a heartbeat has waited %s to be stored", behind.Round(100*time.Millisecond)))
	}
	return out
}
