// Package permit asks the server whether this process may start an attempt of a submitted run, and
// whether it still may when it is about to. An attempt is started at most once because the server
// grants it to one process only, and because that process starts nothing on a grant that is older
// than the server's trust in it.
package permit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/clock"
	"stint.dev/stint/job"
)

const (
	// tryTimeout bounds each request.
	tryTimeout = 5 * time.Second
	// The pauses between requests that were not answered, from the first to the longest.
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
	// confirmLimit bounds the wait for a heartbeat that confirms an old permit.
	confirmLimit = 15 * time.Second
	// longestLease is the longest lease that counts.
	longestLease = 15 * time.Minute
)

// Server is a tracking server that can be asked for a permit.
type Server interface {
	delivery.Server
	AskPermit(ctx context.Context, r client.PermitRequest) (client.PermitReply, error)
}

// Request asks for a permit.
type Request struct {
	Server Server
	client.PermitRequest
	// Until is when the claim ends, on Clock.
	Until time.Duration
	// Clock is a clock that goes on while the host is suspended; nil for clock.SinceBoot.
	Clock func() time.Duration
}

// NewIncarnation returns 128 random bits as 32 hexadecimal digits.
func NewIncarnation() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // it never fails
	return hex.EncodeToString(bits[:])
}

// Permit is a permit that was granted.
type Permit struct {
	// Token authorizes further requests of this attempt; empty where the server wants none.
	Token string
	// Size is how much of the journal the server has.
	Size int64

	request Request
	since   time.Duration // when the answered request began, on the clock
	lease   time.Duration
}

// RefusedError reports that the server does not let this process start the attempt.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "the server refuses the start: " + e.Why }

// ClaimEndedError reports that the claim ended before the server answered. Nothing may be started.
type ClaimEndedError struct{ Last error }

func (e *ClaimEndedError) Error() string {
	if e.Last == nil {
		return "the claim had ended before the server was asked"
	}
	return "the claim ended before the server answered: " + e.Last.Error()
}

func (e *ClaimEndedError) Unwrap() error { return e.Last }

// Ask asks until the permit is granted or refused (*RefusedError), the claim ends
// (*ClaimEndedError), or ctx does (its cause).
func Ask(ctx context.Context, r Request) (*Permit, error) {
	if r.Clock == nil {
		r.Clock = clock.SinceBoot
	}
	var last error
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		since := r.Clock()
		left := r.Until - since
		if left <= 0 {
			return nil, &ClaimEndedError{last}
		}
		reply, err := r.ask(ctx, min(tryTimeout, left))
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d := delivery.Decide(err)
		switch {
		case err == nil && reply.Answer == job.PermitGranted:
			return &Permit{
				Token: reply.AttemptToken, Size: reply.Size, request: r, since: since,
				lease: job.Milliseconds(reply.LeaseMS, 0, longestLease),
			}, nil
		case err == nil:
			return nil, &RefusedError{reply.Why}
		case d.Final():
			return nil, &RefusedError{err.Error()}
		}
		last = err
		if err := wait(ctx, min(max(pause, d.Wait), longestPause, r.Until-r.Clock())); err != nil {
			return nil, err
		}
	}
}

func (r Request) ask(ctx context.Context, limit time.Duration) (client.PermitReply, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return r.Server.AskPermit(ctx, r.PermitRequest)
}

// wait waits, or returns the cause of ctx's end.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ErrSuperseded reports that a newer attempt owns the run.
var ErrSuperseded = errors.New("a newer attempt owns the run")

// Confirm returns nil if the process may start the attempt now: the permit is younger than half of
// its lease, or the server confirms by the answer to a heartbeat that this attempt owns the run.
// Otherwise it returns ErrSuperseded, the cause of ctx's end, or why the server did not confirm it.
// Requests go to s, which sends the token of the permit.
func (p *Permit) Confirm(ctx context.Context, s delivery.Server) error {
	begun := p.request.Clock()
	age := begun - p.since
	end := begun + confirmLimit
	for confirmed := false; ; confirmed = true {
		if p.request.Clock()-p.since < p.lease/2 || confirmed && p.lease <= 0 {
			return nil
		}
		err := p.beat(ctx, s, end)
		switch {
		case err == nil:
		case errors.Is(err, ErrSuperseded) || ctx.Err() != nil:
			return err
		default:
			return fmt.Errorf("the permit to start was %s old, and the server did not confirm it: %w", age.Round(100*time.Millisecond), err)
		}
	}
}

// beat sends heartbeats until one is answered, or until end.
func (p *Permit) beat(ctx context.Context, s delivery.Server, end time.Duration) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		since := p.request.Clock()
		reply, err := p.beatOnce(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case err == nil && !reply.Owner:
			return ErrSuperseded
		case err == nil:
			p.since, p.lease = since, job.Milliseconds(reply.LeaseMS, 0, longestLease)
			return nil
		case delivery.Decide(err).Final() || p.request.Clock()+pause >= end:
			return err
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func (p *Permit) beatOnce(ctx context.Context, s delivery.Server) (job.HeartbeatReply, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	// Without figures it is a sign of life and no evidence.
	return s.Beat(ctx, p.request.Run, p.request.Attempt, job.Heartbeat{OutputAgeMS: -1})
}
