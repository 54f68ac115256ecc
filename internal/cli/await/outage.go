package await

import (
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// Outage says once that the server is away, and once that it is back, however often it is asked meanwhile.
type Outage struct {
	say   func(format string, args ...any)
	mu    sync.Mutex
	since time.Time // when it began; zero while the server answers
}

// NewOutage returns an Outage that speaks by say.
func NewOutage(say func(format string, args ...any)) *Outage { return &Outage{say: say} }

// Began takes the error of a request that is to be sent again.
func (o *Outage) Began(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = time.Now()
		o.say("%v; waiting for the server", err)
	}
}

// Ended takes that the server has answered.
func (o *Outage) Ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.since = time.Time{}
		o.say("the server answers again")
	}
}

// pause is how long Patiently waits between two requests.
const pause = 2 * time.Second

// Patiently calls ask until the server answers, also with a refusal, or ctx is done.
func Patiently[T any](ctx context.Context, outage *Outage, ask func() (T, error)) (T, error) {
	for {
		got, err := ask()
		switch {
		case err == nil:
			outage.Ended()
			return got, nil
		case ctx.Err() != nil:
			return got, ctx.Err()
		case !isAway(err):
			return got, err
		}
		outage.Began(err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return got, ctx.Err()
		}
	}
}

// isAway reports whether an error means that a server may answer later.
func isAway(err error) bool {
	var problem *job.Problem
	var foreign *client.ForeignReplyError
	var unreachable *client.UnreachableError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &authority), errors.As(err, &host):
		return false // only other options help
	case errors.As(err, &problem):
		return problem.Temporary()
	case errors.As(err, &foreign):
		return foreign.Status >= 500
	}
	return errors.As(err, &unreachable)
}
