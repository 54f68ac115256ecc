package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job/api"
)

// copiedAt returns when the database was copied, if it is a restored copy; nil for an original.
func (s *Server) copiedAt() *time.Time {
	if s.cfg.CopiedAt.IsZero() {
		return nil
	}
	at := s.cfg.CopiedAt.UTC()
	return &at
}

// getHealthz responds with 200. It checks nothing, so that a server is not restarted because its
// database does not respond.
func (s *Server) getHealthz(w http.ResponseWriter, _ *http.Request) {
	httpio.OK(w, api.ServerStatus{Status: "ok", Version: s.cfg.Version})
}

// pingTimeout is how long the database may take to respond to a ping.
const pingTimeout = 3 * time.Second

// pingInterval is the least time between two pings. Each needs the one connection that writes, and
// requests for readyz need no token.
const pingInterval = time.Second

// readiness is the result of the last ping of the database.
type readiness struct {
	turn chan struct{} // holds one token during a ping
	at   time.Time
	err  error
}

func newReadiness() readiness { return readiness{turn: make(chan struct{}, 1)} }

// check pings the database and returns the error, or returns that of a ping within pingInterval.
func (r *readiness) check(ctx context.Context, store Store, now func() time.Time) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if at := now(); r.at.IsZero() || at.Sub(r.at) >= pingInterval || at.Before(r.at) {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		r.err = store.Ping(limited)
		r.at = now()
	}
	return r.err
}

// getReadyz responds with 200 if the server can serve requests, else with 503.
func (s *Server) getReadyz(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.finder.Fail(w, r, httpio.Busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down"))
		return
	}
	if err := s.ready.check(r.Context(), s.store, s.now); err != nil {
		s.log.Warn("the database does not respond", "error", err)
		s.finder.Fail(w, r, httpio.Busy(http.StatusServiceUnavailable, time.Second, "the database does not respond or cannot be written to; see the server's log"))
		return
	}
	if s.intake.Failing() {
		s.finder.Fail(w, r, httpio.Busy(http.StatusServiceUnavailable, time.Second, "journals and heartbeats cannot be stored: check that the disk has space; see the server's log"))
		return
	}
	out := api.ServerStatus{Status: "ok", Version: s.cfg.Version, Server: s.store.Installation(), Degraded: s.degraded(), CopiedAt: s.copiedAt()}
	switch {
	case out.CopiedAt != nil:
		out.Status = "restored copy"
	case len(out.Degraded) > 0:
		out.Status = "degraded"
	}
	httpio.OK(w, out)
}

// storeDelayLimit is how long a heartbeat may wait to be stored before the server counts as degraded.
const storeDelayLimit = 3 * time.Second

// degraded returns a sentence for each thing that is impaired.
func (s *Server) degraded() []string {
	var out []string
	if e := s.cfg.Extension(); !e.Since.IsZero() {
		out = append(out, fmt.Sprintf("leases have been extended since %s, because %s: runs whose agents died may be called lost later",
			e.Since.UTC().Format(time.RFC3339), e.Cause))
	}
	if behind := s.intake.Behind(); behind > storeDelayLimit {
		out = append(out, fmt.Sprintf("a heartbeat has waited %s to be stored", behind.Round(100*time.Millisecond)))
	}
	return out
}
