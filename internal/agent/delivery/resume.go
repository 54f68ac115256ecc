package delivery

import (
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/spool"
)

// readFailed decides what an error of reading the journal means. A disk may answer again
// while the job runs; what was deleted never comes back.
func (d *Delivery) readFailed(offset int64, err error) (time.Duration, error) {
	if errors.Is(err, spool.ErrTrimmed) {
		return 0, &RefusedError{
			Why:   fmt.Sprintf("the server asks for the journal from byte %d on, which this host has deleted because the server had it: was the server restored from an older backup?", offset),
			Cause: err,
		}
	}
	d.lastErr = &ReadError{Path: d.cfg.Journal.Path(), Err: err}
	if d.hasEnded() {
		return 0, d.lastErr
	}
	return d.backoff.NextBackOff(), nil
}

// ReadError reports that a journal could not be read back from the spool.
type ReadError struct {
	Path string
	Err  error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("read the journal at %s: %v", e.Path, e.Err)
}

func (e *ReadError) Unwrap() error { return e.Err }

// AheadError refuses a journal of which the server has more than this host.
func AheadError(size, length int64) error {
	return &RefusedError{Why: fmt.Sprintf("the server already has %d bytes of this journal, and here it is %d bytes long: it is not the same journal, or this host lost its end", size, length)}
}

// whole ends the delivery of a journal that the server has whole. One that differs from it was completed by another
// process.
func (d *Delivery) whole(size int64) (time.Duration, error) {
	if length := d.cfg.Journal.Size(); !d.hasEnded() || size != length {
		return 0, &RefusedError{Why: fmt.Sprintf("the server has the whole journal of this attempt, of %d bytes, and here it is %d bytes long: another process completed it", size, length), Cause: d.lastErr}
	}
	d.cfg.Journal.Acknowledge(size)
	d.lastErr = nil
	return 0, nil
}

// resume goes on at the size that the server has.
func (d *Delivery) resume(offset, size int64) (time.Duration, error) {
	if length := d.cfg.Journal.Size(); size > length || size < 0 {
		return 0, AheadError(size, length)
	}
	if d.cfg.Fresh && size > d.sentTo {
		return 0, &RefusedError{Why: fmt.Sprintf("the server already has %d bytes of a journal of this attempt, of which %d were sent: the run id was used before", size, d.sentTo)}
	}
	d.cfg.Journal.Acknowledge(size)
	d.noteFirstReply()
	if size == offset {
		d.lastErr = fmt.Errorf("the server answers that it has %d bytes, and does not accept what follows them", size)
		return d.backoff.NextBackOff(), nil // try again, but not in a loop
	}
	return 0, nil
}
