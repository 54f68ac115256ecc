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

// Limits of a connection. Bodies have their own, see readBody.
const (
	headerTime  = 10 * time.Second
	maxHeader   = 16 << 10
	smallPeriod = 20 * time.Second // to send a JSON body
)

// Serve answers requests from a listener until ctx ends, then shuts down in this order:
//
//  1. /readyz answers 503 and live streams end (Drain);
//  2. the listener closes: nobody new comes in;
//  3. running requests finish; what is left after ShutdownTime is cut off;
//  4. the committer commits and answers everything it has accepted, then ends;
//  5. the last uses of tokens are written down.
//
// The error is nil after a shutdown that was asked for and left nothing undone. The
// listener is closed in any case.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	hs := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       conns.IdleTime,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       s.agents.ConnContext,
		ConnState:         s.agents.ConnState,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.access.Trust(listener.Addr())
	listener = s.conns.Listen(listener)
	noting, stopNoting := context.WithCancel(context.WithoutCancel(ctx))
	var notes sync.WaitGroup
	notes.Go(func() { s.access.FollowTokens(noting) })
	defer func() { stopNoting(); notes.Wait() }()
	served := make(chan error, 1)
	go func() {
		if s.cfg.TLS == nil {
			served <- hs.Serve(listener)
			return
		}
		hs.TLSConfig = s.cfg.TLS
		served <- hs.ServeTLS(listener, "", "")
	}()

	var failed error
	select {
	case err := <-served:
		failed = fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}

	s.Drain()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTime)
	defer cancel()
	if err := hs.Shutdown(limit); err != nil {
		s.log.Warn("some requests did not finish and are cut off", "waited", s.cfg.ShutdownTime)
		_ = hs.Close() // closes what is left; its error is one of a closed connection
	}
	if failed == nil {
		<-served // http.ErrServerClosed: the goroutine has ended
	}
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTime)
	defer stop()
	return errors.Join(failed, s.Close(drain))
}
