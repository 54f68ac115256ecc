package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// silentLimit bounds the wait, after the end, for a server that has not answered once,
	// and hungLimit the same where an agent of this host has just seen it not answer. With
	// what it takes to end, they keep within the second and the 0.2 s that users are promised.
	silentLimit = 900 * time.Millisecond
	hungLimit   = 150 * time.Millisecond
	// noteLimit bounds the wait for the state directory that holds the note of a hung server.
	noteLimit = 100 * time.Millisecond
)

// Errors of Finish.
var (
	errFlushTimeout = errors.New("not delivered within the flush timeout")
	errSilent       = errors.New("the server has not answered")
)

// silentError is errSilent with what the last request met; its text is that of the latter.
type silentError struct{ last error }

func (e *silentError) Error() string   { return e.last.Error() }
func (e *silentError) Unwrap() []error { return []error{errSilent, e.last} }

// Start begins to deliver, as Run does, until Finish.
func (d *Delivery) Start(ctx context.Context) {
	ctx, d.cancel = context.WithCancel(ctx)
	go func() { d.done <- d.Run(ctx) }()
}

// Finish waits, when Config.Ended is closed, for the journal to be delivered, and ends the
// delivery. It waits for a limit, or until ctx ends; for a server that has not answered
// once, not longer than silentLimit, although a journal in memory ends with the process. It
// returns what Run returned, or why it was not waited for.
func (d *Delivery) Finish(ctx context.Context, limit time.Duration) error {
	defer d.cancel()
	why, ended, err := d.wait(ctx, limit)
	if ended {
		return err
	}
	if begun := d.trying.Load(); errors.Is(why, errSilent) && begun != nil && time.Since(*begun) >= hungLimit {
		d.cfg.Hung.Note(time.Now())
	}
	d.cancel()
	if err = <-d.done; !errors.Is(err, context.Canceled) {
		return err
	}
	switch last := d.lastErr; {
	case last == nil || errors.Is(last, context.Canceled):
		return why
	case errors.Is(why, errSilent): // what came instead of an answer is a better reason
		return &silentError{last}
	default:
		return fmt.Errorf("%w: %w", why, last)
	}
}

// wait waits for the delivery to end by itself (ended, with its error), or returns why it is
// not waited for any longer.
func (d *Delivery) wait(ctx context.Context, limit time.Duration) (why error, ended bool, err error) {
	flush, silent, hung := time.NewTimer(limit), time.NewTimer(silentLimit), time.NewTimer(hungLimit)
	defer flush.Stop()
	defer silent.Stop()
	defer hung.Stop()
	for {
		select {
		case err := <-d.done:
			return nil, true, err
		case <-ctx.Done():
			return context.Cause(ctx), false, nil
		case <-flush.C:
			return errFlushTimeout, false, nil
		case <-hung.C:
			if d.cfg.Hung.SilentLimit(time.Now()) > hungLimit {
				continue
			}
		case <-silent.C:
		}
		if !d.cfg.Link.Reached() {
			return errSilent, false, nil
		}
	}
}
