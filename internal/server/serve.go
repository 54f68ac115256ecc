package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"stint.dev/stint/internal/server/conns"
)

// Limits of a connection. The limits of journal bodies are in package intake.
const (
	headerTimeout   = 10 * time.Second
	maxHeader       = 16 << 10
	jsonBodyTimeout = 20 * time.Second
)

// Run does the work that requests leave behind: it makes appends and heartbeats durable, and
// records when tokens were used, and wakes workers when there are runs for them. Appends and heartbeats wait until it runs. It returns when ctx has
// ended and the server has answered everything that it accepted. Serve calls it.
func (s *Server) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { s.intake.Run(ctx) })
	loops.Go(func() { s.access.FollowTokens(ctx) })
	loops.Go(func() { s.queue.Run(ctx) })
	loops.Wait()
}

// Serve handles the requests of a listener until ctx ends, then shuts down in this order:
//
//  1. /readyz responds with 503 and live streams end (Drain);
//  2. the listener closes, so that no new connection is accepted;
//  3. running requests finish; those that still run after ShutdownTimeout are cut off;
//  4. the committer commits and answers everything that it has accepted, then ends;
//  5. the last uses of tokens are stored.
//
// The error is nil if everything was finished because ctx ended. Serve always closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	hs := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       conns.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       s.agents.ConnContext,
		ConnState:         s.agents.ConnState,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.access.Trust(ctx, listener.Addr())
	listener = s.conns.Listen(listener)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { s.Run(work) })
	defer func() { stopWork(); loops.Wait() }()
	served := make(chan error, 1)
	loops.Go(func() {
		if s.cfg.TLS == nil {
			served <- hs.Serve(listener)
			return
		}
		hs.TLSConfig = s.cfg.TLS
		served <- hs.ServeTLS(listener, "", "")
	})

	var failed error
	select {
	case err := <-served:
		failed = fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}

	s.Drain()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := hs.Shutdown(limit); err != nil {
		s.log.Warn("some requests did not finish and are cut off", "waited", s.cfg.ShutdownTimeout)
		_ = hs.Close() // closes the other connections; its error is that of a connection closed before
	}
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer stop()
	return errors.Join(failed, s.Close(drain))
}
