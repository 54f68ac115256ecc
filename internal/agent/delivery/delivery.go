package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v7"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// spoolPollInterval is how often the spool of an ended attempt is checked for what is still
	// to be sent.
	spoolPollInterval = 100 * time.Millisecond
	// AppendTimeout bounds one append; a link that takes longer for a batch is down.
	AppendTimeout = 60 * time.Second
	// endPauseLimit is the longest pause between two tries when the attempt has ended and
	// the caller waits for it, unless the server asks for a longer one.
	endPauseLimit = time.Second
)

// Config says which journal to deliver, and where. The channels wake delivery; each of them
// may be nil.
type Config struct {
	Server  Server
	Run     string
	Attempt int
	Journal *spool.Journal
	// Fresh says that only this delivery can have sent anything of this journal.
	Fresh bool

	More   <-chan struct{} // something was written
	Urgent <-chan struct{} // something worth sending soon, or a lot (see SendAtOnce)
	Ended  <-chan struct{} // closed when nothing more will be written
	Beat   <-chan struct{} // a heartbeat is about to be sent

	// Link is shared with the run's heartbeats; nil for one of its own that prints nothing.
	Link *Link
	// Hung is where servers are noted that do not answer; nil for nowhere.
	Hung *HungServers
	// Watched is set from the server's replies: a client follows the run live.
	Watched *atomic.Bool
	// FirstReply is called once, after the first append that the server has answered with a
	// size, unless the whole journal of an ended attempt came with it; may be nil.
	FirstReply func()
	// GiveUpAfter bounds the time without progress; 0 for no bound.
	GiveUpAfter time.Duration
}

// SendAtOnce is how many unsent bytes make delivery not wait for more.
const SendAtOnce = 512 << 10

// Delivery sends one journal to the server: peek, send, acknowledge.
type Delivery struct {
	cfg Config

	reached     bool  // the server has answered an append with a size
	sentTo      int64 // the end of what was ever sent
	hasMore     bool  // the last batch did not bring all that there was
	lastSuccess time.Time

	pace    pace
	buf     []byte
	bulk    bool // tuneForBulk was called
	backoff *backoff.ExponentialBackOff
	last    Decision // on the last try
	lastErr error    // of the last try; nil when it succeeded

	// For Start and Finish.
	cancel context.CancelFunc
	done   chan error
	trying atomic.Pointer[time.Time] // when the append began that is under way; nil for none
}

// New prepares a delivery; Run does it, or Start and Finish.
func New(c Config) *Delivery {
	if c.Link == nil {
		c.Link = NewLink(nil)
	}
	return &Delivery{cfg: c, backoff: NewBackOff(), pace: newPace(), done: make(chan error, 1)}
}

// NewBackOff makes the pauses between tries: from 200 ms to 30 s, with jitter.
func NewBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 200 * time.Millisecond
	b.Multiplier = 2
	b.MaxInterval = 30 * time.Second
	b.Reset()
	return b
}

// Run delivers until the whole journal of an ended attempt is acknowledged (nil), there is
// nothing more to send (*RefusedError, *DeletedError), another process has written the journal
// of a dead agent before this one (*TakenError; see TakeOver), ctx ends (the last error, with
// ctx's), or the attempt has ended and its journal may wait in the spool (the last error;
// see mayGiveUp). Outages do not end it.
func (d *Delivery) Run(ctx context.Context) error {
	err := d.deliver(ctx)
	var refused *RefusedError
	var deleted *DeletedError
	switch path := d.cfg.Journal.Path(); {
	case errors.As(err, &deleted):
		d.cfg.Link.report(NotWanted, err.Error()+"; its journal is removed from this host")
	case IsIDTaken(d.cfg.Journal, err) && path != "":
		d.cfg.Link.report(NotWanted, fmt.Sprintf("the id of this run, %s, is that of another run at the server: when the job has ended, its record is delivered as a run of its own", d.cfg.Run))
	case errors.As(err, &refused) && path != "":
		d.cfg.Link.report(NotWanted, fmt.Sprintf("%v; it is kept at %s and not sent again", err, path))
	case errors.As(err, &refused):
		d.cfg.Link.report(NotWanted, err.Error())
	}
	return err
}

func (d *Delivery) deliver(ctx context.Context) error {
	d.lastSuccess = time.Now()
	if err := d.waitOrEnd(ctx, urgentCoalesceDelay); err != nil {
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
		} else if d.cfg.Journal.Unsent() > 0 && d.cfg.Journal.Unsent() < SendAtOnce && !d.hasMore {
			if err := d.coalesce(ctx); err != nil {
				return err
			}
		}
	}
}

// idle waits for something to send. done is true when nothing will follow.
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
	poll := time.NewTimer(spoolPollInterval) // no notification comes while a disk hangs
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
			if time.Since(d.lastSuccess) >= beatCoalesceDelay {
				return nil
			}
		case <-d.cfg.Urgent:
			if d.cfg.Journal.Unsent() >= SendAtOnce {
				return nil
			}
			return d.waitOrEnd(ctx, urgentCoalesceDelay)
		}
	}
}

// hasEnded reports whether the attempt has ended.
func (d *Delivery) hasEnded() bool {
	select {
	case <-d.cfg.Ended:
		return true
	default:
		return false
	}
}

// mayGiveUp reports whether an ended attempt need not be delivered now: no Stint server has
// answered, or none takes the token, and the journal is safe where it waits. One that the
// disk does not take is gone with this process, so the time that Finish allows is used.
func (d *Delivery) mayGiveUp() bool {
	return (!d.cfg.Link.Reached() || d.last.Action == FixToken) && d.cfg.Journal.Path() != "" && d.cfg.Journal.Persist() == nil
}

// pause waits after a try that failed. The attempt's end cuts it short, once; after it
// pauses are short, and what may wait in the spool is left there.
func (d *Delivery) pause(ctx context.Context, wait time.Duration) error {
	ended := d.cfg.Ended
	if d.hasEnded() {
		if d.mayGiveUp() {
			return d.lastErr
		}
		ended = nil // it had ended before already: the pause is made
		if d.last.Wait == 0 {
			wait = min(wait, endPauseLimit)
		}
	}
	if d.cfg.GiveUpAfter > 0 && time.Since(d.lastSuccess)+wait > d.cfg.GiveUpAfter {
		return d.lastErr
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
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
	unsent := d.cfg.Journal.Unsent()
	b, err := d.nextBatch(offset)
	if err != nil {
		return d.readFailed(offset, err)
	}
	d.sentTo, d.hasMore = max(d.sentTo, offset+b.size), b.size > 0 && b.size < unsent
	begun := time.Now()
	d.trying.Store(&begun)
	reply, err := d.append(ctx, offset, b)
	d.trying.Store(nil)
	d.lastErr = err
	if err != nil {
		d.buf = nil // the transport may not be done with it
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
	d.last = Decide(err)
	d.cfg.Link.note("append", time.Now(), d.last, err)
	switch d.last.Action {
	case Proceed:
		return d.accepted(offset, b.size, reply, time.Since(begun))
	case Resume:
		return d.resume(offset, d.last.Size)
	case Split:
		if d.pace.tooLarge(time.Now(), int(b.size), d.isOneRecord(offset, b.size)) {
			return 0, nil
		}
	case Whole:
		return d.whole(d.last.Size)
	case Refused, Deleted:
		return 0, FinalError(d.last, d.cfg.Run, err)
	case Taken:
		if !d.cfg.Fresh {
			return 0, &TakenError{Cause: err}
		}
		d.pace.failed()
	case Outage:
		d.pace.failed()
	case Pause, FixToken:
	}
	return max(d.last.Wait, d.backoff.NextBackOff()), nil
}

// isOneRecord reports whether a batch cannot be sent in parts.
func (d *Delivery) isOneRecord(offset, size int64) bool {
	part, err := journal.WholeRecordsIn(d.cfg.Journal, offset, size-1)
	return err != nil || part <= 0
}

// accepted acts on a reply with the size that the server has.
func (d *Delivery) accepted(offset, sent int64, reply job.AppendReply, took time.Duration) (time.Duration, error) {
	d.cfg.Watched.Store(reply.Watched)
	if reply.Size < offset || reply.Size > offset+sent {
		return d.resume(offset, reply.Size)
	}
	d.pace.sent(time.Now(), int(sent), took)
	d.cfg.Journal.Acknowledge(reply.Size)
	if !d.hasEnded() || d.cfg.Journal.Waiting() > 0 { // else it is removed in a moment
		d.cfg.Journal.SetInstallation(reply.Server)
	}
	d.noteFirstReply()
	if reply.Size == offset && sent > 0 {
		d.lastErr = fmt.Errorf("the server accepts the journal but stores nothing after byte %d", offset)
		return d.backoff.NextBackOff(), nil
	}
	d.backoff.Reset()
	d.lastSuccess = time.Now()
	return 0, nil
}

// append sends bytes in the way that is the quicker one on this link.
func (d *Delivery) append(ctx context.Context, offset int64, b batch) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, AppendTimeout)
	defer cancel()
	if b.inSpool {
		return d.cfg.Server.(streamingServer).AppendFrom(ctx, d.cfg.Run, d.cfg.Attempt, offset, b.size, d.cfg.Journal)
	}
	if c, able := d.cfg.Server.(compressingServer); able && d.pace.compressed && len(b.data) >= minBatch {
		return c.AppendCompressed(ctx, d.cfg.Run, d.cfg.Attempt, offset, b.data)
	}
	return d.cfg.Server.Append(ctx, d.cfg.Run, d.cfg.Attempt, offset, b.data)
}

// compressingServer is a server that takes compressed journal bytes.
type compressingServer interface {
	AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error)
}

// noteFirstReply notes the first reply with a size.
func (d *Delivery) noteFirstReply() {
	first := !d.reached
	d.reached = true
	if !first || d.cfg.FirstReply == nil || d.hasEnded() && d.cfg.Journal.Waiting() == 0 {
		return
	}
	d.cfg.FirstReply()
}
