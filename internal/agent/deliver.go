package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v7"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

const (
	// lookAgain is when to look whether the spool has written what is still to come.
	lookAgain = 100 * time.Millisecond
	// appendTimeout bounds one append; a link that takes longer for a batch is down.
	appendTimeout = 60 * time.Second
)

// refusedError says that the server will never take this journal.
type refusedError struct {
	why   string
	cause error
}

func (e *refusedError) Error() string {
	if e.cause != nil {
		return e.why + ": " + e.cause.Error()
	}
	return e.why
}

func (e *refusedError) Unwrap() error { return e.cause }

// delivery brings one journal to the server: peek, send, acknowledge. Offsets make it
// exact: whatever happened before, the server says how far it is, and the rest is sent.
type delivery struct {
	server  Server
	run     string
	attempt int
	from    *spool.Journal
	more    <-chan struct{} // something was written
	urgent  <-chan struct{} // something worth sending soon
	ended   <-chan struct{} // closed when nothing more will be written
	beat    <-chan struct{} // a heartbeat is about to be sent; nil where there are none
	first   func()          // called once, after the first answer of the server; may be nil

	watched *atomic.Bool
	alive   atomic.Bool // the server has answered something
	reached bool        // it has answered an append with a size
	fresh   bool        // nobody can have sent anything of this journal yet

	// patience bounds the time without an answer that helps; 0 for no bound.
	patience time.Duration
	lastGood time.Time

	pace    pace
	buf     []byte
	bulk    bool // much was called
	backoff *backoff.ExponentialBackOff
	lastErr error // of the last try; nil when it went well
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 200 * time.Millisecond
	b.Multiplier = 2
	b.MaxInterval = 30 * time.Second
	b.Reset()
	return b
}

// deliver delivers until the whole journal of an ended attempt is acknowledged (nil), the
// server refuses it for good (*refusedError), or ctx ends (the last trouble, with ctx's
// error), or the attempt has ended and the server never answered (the last trouble).
func (d *delivery) deliver(ctx context.Context) error {
	d.backoff, d.pace = newBackOff(), newPace()
	d.lastGood = time.Now()
	if err := d.collect(ctx, coalesceUrgent); err != nil {
		return err
	}
	for {
		if d.from.Unsent() == 0 {
			done, err := d.idle(ctx)
			if err != nil || done {
				return err
			}
			if d.from.Unsent() == 0 {
				continue // an old wake-up
			}
			if err := d.gather(ctx); err != nil {
				return err
			}
		}
		wait, err := d.sendOne(ctx)
		if err != nil {
			return err
		}
		if wait > 0 {
			if err := d.pause(ctx, wait); err != nil {
				return err
			}
		} else if d.from.Unsent() > 0 && d.from.Unsent() < sendAtOnce {
			if err := d.gather(ctx); err != nil {
				return err
			}
		}
	}
}

// idle waits for something to send. done is true when there never will be.
func (d *delivery) idle(ctx context.Context) (done bool, err error) {
	select {
	case <-d.more:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-d.ended:
	}
	if d.from.Waiting() == 0 {
		return true, nil
	}
	look := time.NewTimer(lookAgain) // a disk that stands still tells nobody
	defer look.Stop()
	select {
	case <-d.more:
	case <-look.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return false, nil
}

// collect waits for more, but not beyond the end of the attempt.
func (d *delivery) collect(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// gather lets small output collect.
func (d *delivery) gather(ctx context.Context) error {
	timer := time.NewTimer(d.pace.wait(d.watched.Load()))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-d.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-d.beat:
			if time.Since(d.lastGood) >= coalesceBeat {
				return nil
			}
		case <-d.urgent:
			if d.from.Unsent() >= sendAtOnce {
				return nil
			}
			return d.collect(ctx, coalesceUrgent)
		}
	}
}

// hopeless reports whether an ended attempt need not be delivered now: the server never
// answered, and the journal is safe where it waits. One that the disk does not take is gone
// with this process, so its server is waited for.
func (d *delivery) hopeless() bool {
	return !d.alive.Load() && (d.from.Path() == "" || d.from.Persist() == nil)
}

// pause waits after trouble. The attempt's end cuts it short, once; after it, a server that
// never answered is not waited for (see hopeless).
func (d *delivery) pause(ctx context.Context, wait time.Duration) error {
	if d.patience > 0 && time.Since(d.lastGood)+wait > d.patience {
		return d.lastErr
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	ended := d.ended
	select {
	case <-ended:
		if d.hopeless() {
			return d.lastErr
		}
		ended = nil // it had ended before already: the pause stands
	default:
	}
	select {
	case <-timer.C:
		return nil
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ctx.Err(), d.lastErr)
	}
}

// sendOne sends one batch. It returns how long to wait before the next try, or an error
// that ends delivery.
func (d *delivery) sendOne(ctx context.Context) (time.Duration, error) {
	offset := d.from.Acknowledged()
	b, err := d.next(offset)
	if err != nil {
		return 0, &refusedError{"the journal cannot be read back from the spool", err}
	}
	fresh := d.fresh
	d.fresh = false
	begun := time.Now()
	reply, err := d.append(ctx, offset, b)
	d.lastErr = err
	if err != nil {
		d.buf = nil // the transport may not be done with it
	}
	if err == nil {
		d.pace.sent(time.Now(), int(b.size), time.Since(begun))
		if reply.Size < offset || reply.Size > offset+b.size {
			return d.resume(offset, reply.Size)
		}
		d.watched.Store(reply.Watched)
		d.from.Acknowledge(reply.Size)
		d.answered()
		if reply.Size == offset && b.size > 0 {
			d.lastErr = fmt.Errorf("the server takes the journal but keeps nothing after byte %d", offset)
			return d.backoff.NextBackOff(), nil
		}
		d.backoff.Reset()
		d.lastGood = time.Now()
		return 0, nil
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return d.trouble(offset, err, fresh)
}

// append sends bytes in the way that is the quicker one on this link.
func (d *delivery) append(ctx context.Context, offset int64, b batch) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	if b.stands {
		return d.server.(streaming).AppendFrom(ctx, d.run, d.attempt, offset, b.size, d.from)
	}
	batch := b.data
	c, able := d.server.(compressing)
	if !d.pace.compressed || !able || len(batch) < leastBatch {
		return d.server.Append(ctx, d.run, d.attempt, offset, batch)
	}
	reply, err := c.AppendCompressed(ctx, d.run, d.attempt, offset, batch)
	var p *job.Problem
	if errors.As(err, &p) && p.Status == http.StatusUnsupportedMediaType {
		d.pace.refuseCompression()
		return d.server.Append(ctx, d.run, d.attempt, offset, batch)
	}
	return reply, err
}

// compressing is a server that takes compressed journal bytes.
type compressing interface {
	AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error)
}

// answered notes the first answer.
func (d *delivery) answered() {
	d.alive.Store(true)
	if !d.reached && d.first != nil {
		d.first()
	}
	d.reached = true
}

// trouble decides what an error means.
func (d *delivery) trouble(offset int64, err error, fresh bool) (time.Duration, error) {
	var p *job.Problem
	if !errors.As(err, &p) {
		d.pace.failed()
		return d.backoff.NextBackOff(), nil
	}
	d.alive.Store(true)
	switch {
	case p.Status == http.StatusConflict && p.Size != nil && *p.Size > 0 && fresh:
		return 0, &refusedError{why: "the server has a journal of this attempt already: the run id was used before"}
	case p.Status == http.StatusConflict && p.Size != nil:
		d.answered()
		return d.resume(offset, *p.Size)
	case p.Temporary():
		d.pace.failed()
		return max(p.RetryAfter, d.backoff.NextBackOff()), nil
	}
	return 0, &refusedError{"the server refuses the journal of this run", err}
}

// aheadError refuses a journal of which the server has more than this host.
func aheadError(size, length int64) error {
	return &refusedError{why: fmt.Sprintf("the server already has %d bytes of this journal, and here it is %d bytes long: it is not the same journal, or this host lost its end", size, length)}
}

// resume goes on from where the server says it is.
func (d *delivery) resume(offset, size int64) (time.Duration, error) {
	if length := d.from.Size(); size > length || size < 0 {
		return 0, aheadError(size, length)
	}
	d.from.Acknowledge(size)
	if size == offset {
		d.lastErr = fmt.Errorf("the server answers that it has %d bytes, and will not take what follows them", size)
		return d.backoff.NextBackOff(), nil // try again, but not in a loop
	}
	return 0, nil
}
