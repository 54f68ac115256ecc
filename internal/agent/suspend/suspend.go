// Package suspend suspends the agent's own process: it reports that to the server, stops, and joins
// the signals that come meanwhile to one decision.
package suspend

import (
	"context"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/signals"
)

const (
	// lastHeartbeatLimit bounds the wait for the heartbeat that reports the suspension.
	lastHeartbeatLimit = time.Second
	// continueLimit bounds the wait for the event of the SIGCONT that has continued the agent
	// already.
	continueLimit = 100 * time.Millisecond
)

// Events are the events of the signals that the process gets: see signals.Owner.
type Events interface {
	Events() <-chan signals.Event
	Poll() (e signals.Event, ok bool)
}

// Config says what is suspended.
type Config struct {
	Events Events
	// Stop stops the process and returns when it is continued: at once if a SIGCONT has come after the
	// last signal that stops it. See signals.SuspendSelf.
	Stop       func(syscall.Signal)
	Link       *delivery.Link
	Heartbeats delivery.Suspender // nil for none
}

// Until stops the process, as sig requests, until a SIGCONT comes that no other stop signal follows.
// A SIGCONT that comes before the stop cancels it. Until returns the other events that came
// meanwhile, and whether the event of the last SIGCONT did: it may come later, or not at all,
// because the kernel drops a SIGCONT that a stop signal follows.
func Until(c Config, sig syscall.Signal) (missed []signals.Event, continued bool) {
	s := suspension{requested: sig}
	for s.requested != 0 {
		resume, reported := c.report(&s)
		if sig := s.requested; sig != 0 && reported {
			s.requested, s.continued = 0, false
			c.Stop(sig)
			c.awaitContinue(&s)
		}
		resume()
	}
	return s.missed, s.continued
}

// suspension is the state of a suspension, as the events that come meanwhile change it.
type suspension struct {
	requested syscall.Signal  // the last signal that requests it; 0 after a SIGCONT
	continued bool            // the event of a SIGCONT came after the last stop
	missed    []signals.Event // the other events, in order
}

func (s *suspension) add(e signals.Event) {
	switch e.Action {
	case signals.Suspend:
		s.requested = e.Signal
	case signals.Continue:
		s.requested, s.continued = 0, true
	default:
		s.missed = append(s.missed, e)
	}
}

// report sends the heartbeat that reports the suspension, unless a SIGCONT comes
// meanwhile: then reported is false. All events that came before it returns are in s. No other
// heartbeat is sent until resume, which must be called.
func (c Config) report(s *suspension) (resume func(), reported bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lastHeartbeatLimit)
	defer cancel()
	if !c.Link.Reached() {
		cancel() // the server does not know the run
	}
	sent := make(chan func(), 1)
	go func() { sent <- c.Heartbeats.Suspend(ctx) }()
	reported = true
	add := func(e signals.Event) {
		if s.add(e); e.Action == signals.Continue {
			reported = false
			cancel()
		}
	}
	for {
		select {
		case resume = <-sent:
			for e, ok := c.Events.Poll(); ok; e, ok = c.Events.Poll() {
				add(e)
			}
			return resume, reported
		case e := <-c.Events.Events():
			add(e)
		}
	}
}

// awaitContinue takes the event of the SIGCONT that has continued the agent, and those before it. A
// stop signal among these came after the agent was continued: Stop returns at once if it is the
// SIGCONT that came last.
func (c Config) awaitContinue(s *suspension) {
	limit := time.NewTimer(continueLimit)
	defer limit.Stop()
	for !s.continued {
		select {
		case e := <-c.Events.Events():
			if s.continued = e.Action == signals.Continue; !s.continued {
				s.add(e)
			}
		case <-limit.C:
			return
		}
	}
}
