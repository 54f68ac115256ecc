package delivery

import (
	"context"
	"time"
)

// Suspender lets another goroutine suspend heartbeats. A nil one does nothing.
type Suspender chan suspension

type suspension struct {
	sent    chan struct{} // closed when the last beat was answered, or failed
	resumed chan struct{} // closed by the caller
}

// Suspend makes Send send a last heartbeat, which reports that agent and job are being suspended.
// It returns when that heartbeat was answered or has failed, or ctx has ended. No other heartbeat
// is sent until resume, which must be called.
func (s Suspender) Suspend(ctx context.Context) (resume func()) {
	r := suspension{make(chan struct{}), make(chan struct{})}
	select {
	case s <- r:
	case <-ctx.Done():
		return func() {}
	}
	select {
	case <-r.sent:
	case <-ctx.Done():
	}
	return func() { close(r.resumed) }
}

// suspend sends the last heartbeat and waits to be resumed.
func (b *Heartbeats) suspend(ctx context.Context, r suspension) Decision {
	b.suspended = true
	d := b.sendOne(ctx, time.Now())
	b.suspended = false
	close(r.sent)
	select {
	case <-r.resumed:
	case <-ctx.Done():
	}
	return d
}
