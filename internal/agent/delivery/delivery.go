package delivery

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
	// spoolPollInterval is how often an ended attempt's spool is asked whether it has written
	// what is still to be sent.
	spoolPollInterval = 100 * time.Millisecond
	// AppendTimeout bounds one append; a link that takes longer for a batch is down.
	AppendTimeout = 60 * time.Second
)

// RefusedError says that the server will never accept this journal.
type RefusedError struct {
	Why   string
	Cause error // may be nil
}

func (e *RefusedError) Error() string {
	if e.Cause != nil {
		return e.Why + ": " + e.Cause.Error()
	}
	return e.Why
}

func (e *RefusedError) Unwrap() error { return e.Cause }

// IsFinal reports whether to leave a journal alone from now on. One that was refused for
// want of a valid token is not: it is delivered once the token is right.
func IsFinal(err error) bool {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return false
	}
	var p *job.Problem
	return !errors.As(err, &p) || p.Status != http.StatusUnauthorized
}

// Config says which journal to deliver, and where. The channels wake delivery; each of them
// may be nil.
type Config struct {
	Server  Server
	Run     string
	Attempt int
	Journal *spool.Journal
	// Fresh says that nobody can have sent anything of this journal yet.
	Fresh bool

	More   <-chan struct{} // something was written
	Urgent <-chan struct{} // something worth sending soon, or a lot (see SendAtOnce)
	Ended  <-chan struct{} // closed when nothing more will be written
	Beat   <-chan struct{} // a heartbeat is about to be sent

	// Watched is set from the server's replies: somebody follows the run live.
	Watched *atomic.Bool
	// FirstReply is called once, after the first append that the server has answered with a
	// size; may be nil.
	FirstReply func()
	// GiveUpAfter bounds the time without progress; 0 for no bound.
	GiveUpAfter time.Duration
}

// SendAtOnce is how many unsent bytes make delivery not wait for more.
const SendAtOnce = 512 << 10

// Delivery sends one journal to the server: peek, send, acknowledge.
type Delivery struct {
	cfg Config

	alive    atomic.Bool // the server has answered something
	reached  bool        // it has answered an append with a size
	fresh    bool        // see Config.Fresh; false after the first append
	lastGood time.Time

	pace    pace
	buf     []byte
	bulk    bool // tuneForBulk was called
	backoff *backoff.ExponentialBackOff
	lastErr error // of the last try; nil when it succeeded
}

// New prepares a delivery; Run does it.
func New(c Config) *Delivery { return &Delivery{cfg: c, fresh: c.Fresh} }

// Answered reports whether the server has answered anything. It is safe for concurrent use.
func (d *Delivery) Answered() bool { return d.alive.Load() }

// LastError is the error of the last append, nil if it succeeded. Call it when Run has
// returned.
func (d *Delivery) LastError() error { return d.lastErr }

// NewBackOff makes the pauses between tries: from 200 ms to 30 s, with jitter.
func NewBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 200 * time.Millisecond
	b.Multiplier = 2
	b.MaxInterval = 30 * time.Second
	b.Reset()
	return b
}

// Run delivers until the whole journal of an ended attempt is acknowledged (nil), the server
// refuses it for good (*RefusedError), ctx ends (the last error, with ctx's), or the
// attempt has ended and the server never answered (the last error).
func (d *Delivery) Run(ctx context.Context) error {
	d.backoff, d.pace = NewBackOff(), newPace()
	d.lastGood = time.Now()
	if err := d.waitOrEnd(ctx, coalesceUrgent); err != nil {
		return err
	}
	for {
		if d.cfg.Journal.Unsent() == 0 {
			done, err := d.idle(ctx)
			if err != nil || done {
				return err
			}
			if d.cfg.Journal.Unsent() == 0 {
				continue // an old wake-up
			}
			if err := d.coalesce(ctx); err != nil {
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
		} else if d.cfg.Journal.Unsent() > 0 && d.cfg.Journal.Unsent() < SendAtOnce {
			if err := d.coalesce(ctx); err != nil {
				return err
			}
		}
	}
}

// idle waits for something to send. done is true when there never will be.
func (d *Delivery) idle(ctx context.Context) (done bool, err error) {
	select {
	case <-d.cfg.More:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-d.cfg.Ended:
	}
	if d.cfg.Journal.Waiting() == 0 {
		return true, nil
	}
	poll := time.NewTimer(spoolPollInterval) // a disk that hangs wakes nobody
	defer poll.Stop()
	select {
	case <-d.cfg.More:
	case <-poll.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return false, nil
}

// waitOrEnd waits, but not beyond the end of the attempt.
func (d *Delivery) waitOrEnd(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.cfg.Ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// coalesce waits for small output to become more.
func (d *Delivery) coalesce(ctx context.Context) error {
	timer := time.NewTimer(d.pace.wait(d.cfg.Watched.Load()))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-d.cfg.Ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-d.cfg.Beat:
			if time.Since(d.lastGood) >= coalesceBeat {
				return nil
			}
		case <-d.cfg.Urgent:
			if d.cfg.Journal.Unsent() >= SendAtOnce {
				return nil
			}
			return d.waitOrEnd(ctx, coalesceUrgent)
		}
	}
}

// mayGiveUp reports whether an ended attempt need not be delivered now: the server never
// answered, and the journal is safe where it waits. One that the disk does not take is gone
// with this process, so its server is waited for.
func (d *Delivery) mayGiveUp() bool {
	return !d.alive.Load() && (d.cfg.Journal.Path() == "" || d.cfg.Journal.Persist() == nil)
}

// pause waits after trouble. The attempt's end cuts it short, once; after it, a server that
// never answered is not waited for (see mayGiveUp).
func (d *Delivery) pause(ctx context.Context, wait time.Duration) error {
	if d.cfg.GiveUpAfter > 0 && time.Since(d.lastGood)+wait > d.cfg.GiveUpAfter {
		return d.lastErr
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	ended := d.cfg.Ended
	select {
	case <-ended:
		if d.mayGiveUp() {
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
func (d *Delivery) sendOne(ctx context.Context) (time.Duration, error) {
	offset := d.cfg.Journal.Acknowledged()
	b, err := d.next(offset)
	if err != nil {
		return 0, &RefusedError{Why: "the journal cannot be read back from the spool", Cause: err}
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
		d.cfg.Watched.Store(reply.Watched)
		d.cfg.Journal.Acknowledge(reply.Size)
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
func (d *Delivery) append(ctx context.Context, offset int64, b batch) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, AppendTimeout)
	defer cancel()
	if b.inSpool {
		return d.cfg.Server.(streaming).AppendFrom(ctx, d.cfg.Run, d.cfg.Attempt, offset, b.size, d.cfg.Journal)
	}
	batch := b.data
	c, able := d.cfg.Server.(compressing)
	if !d.pace.compressed || !able || len(batch) < leastBatch {
		return d.cfg.Server.Append(ctx, d.cfg.Run, d.cfg.Attempt, offset, batch)
	}
	reply, err := c.AppendCompressed(ctx, d.cfg.Run, d.cfg.Attempt, offset, batch)
	var p *job.Problem
	if errors.As(err, &p) && p.Status == http.StatusUnsupportedMediaType {
		d.pace.refuseCompression()
		return d.cfg.Server.Append(ctx, d.cfg.Run, d.cfg.Attempt, offset, batch)
	}
	return reply, err
}

// compressing is a server that takes compressed journal bytes.
type compressing interface {
	AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error)
}

// answered notes the first answer.
func (d *Delivery) answered() {
	d.alive.Store(true)
	if !d.reached && d.cfg.FirstReply != nil {
		d.cfg.FirstReply()
	}
	d.reached = true
}

// trouble decides what an error means.
func (d *Delivery) trouble(offset int64, err error, fresh bool) (time.Duration, error) {
	var p *job.Problem
	if !errors.As(err, &p) {
		d.pace.failed()
		return d.backoff.NextBackOff(), nil
	}
	d.alive.Store(true)
	switch {
	case p.Status == http.StatusConflict && p.Size != nil && *p.Size > 0 && fresh:
		return 0, &RefusedError{Why: "the server has a journal of this attempt already: the run id was used before"}
	case p.Status == http.StatusConflict && p.Size != nil:
		d.answered()
		return d.resume(offset, *p.Size)
	case p.Temporary():
		d.pace.failed()
		return max(p.RetryAfter, d.backoff.NextBackOff()), nil
	}
	return 0, &RefusedError{Why: "the server refuses the journal of this run", Cause: err}
}

// AheadError refuses a journal of which the server has more than this host.
func AheadError(size, length int64) error {
	return &RefusedError{Why: fmt.Sprintf("the server already has %d bytes of this journal, and here it is %d bytes long: it is not the same journal, or this host lost its end", size, length)}
}

// resume goes on from where the server says it is.
func (d *Delivery) resume(offset, size int64) (time.Duration, error) {
	if length := d.cfg.Journal.Size(); size > length || size < 0 {
		return 0, AheadError(size, length)
	}
	d.cfg.Journal.Acknowledge(size)
	if size == offset {
		d.lastErr = fmt.Errorf("the server answers that it has %d bytes, and will not take what follows them", size)
		return d.backoff.NextBackOff(), nil // try again, but not in a loop
	}
	return 0, nil
}
