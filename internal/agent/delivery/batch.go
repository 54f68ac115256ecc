package delivery

import (
	"context"
	"errors"
	"io"
	"runtime/debug"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// bulkGC makes the garbage collector keep the heap close to what is used while a lot is
// sent: its buffers hold no pointers, so that collecting costs little.
const bulkGC = 50

// batch is what one append brings.
type batch struct {
	size    int64
	data    []byte
	inSpool bool // data is nil; the bytes are sent from the spool
}

// streamingServer is a Server that reads the bytes to send from the spool itself.
type streamingServer interface {
	AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error)
}

// nextBatchLimit returns how many bytes the next append may bring. The first one of an attempt that goes
// on is small: with it the server knows the run and relies on the connection that the agent
// holds, and heartbeats begin, on a slow link too.
func (d *Delivery) nextBatchLimit() int64 {
	if !d.reached && d.cfg.Fresh && !d.hasEnded() {
		return int64(min(d.pace.batch, minBatch))
	}
	return int64(d.pace.batch)
}

// nextBatch returns the batch that begins at an offset. A large one stays in the spool while it is
// sent, unless it is compressed, or the last try has failed, whose reason may be the spool:
// reading it shows that.
func (d *Delivery) nextBatch(offset int64) (batch, error) {
	if _, able := d.cfg.Server.(streamingServer); able && !d.pace.compressed && d.lastErr == nil && d.cfg.Journal.Unsent() > minBatch {
		d.tuneForBulk()
		size, err := journal.WholeRecordsIn(d.cfg.Journal, offset, min(d.cfg.Journal.Unsent(), d.nextBatchLimit()))
		if err != nil || size > 0 {
			return batch{size: size, inSpool: true}, err
		}
	}
	data, err := d.peek(offset)
	return batch{size: int64(len(data)), data: data}, err
}

// peek reads a batch from the spool and cuts it at the end of its last whole record.
func (d *Delivery) peek(offset int64) ([]byte, error) {
	size := int(min(d.cfg.Journal.Unsent(), d.nextBatchLimit(), maxBuffered))
	for size > 0 {
		if cap(d.buf) < size {
			d.buf = nil // free it before the next one is allocated
			d.buf = make([]byte, bufferSize(size))
			if size > minBatch {
				d.tuneForBulk()
			}
		}
		n, err := d.cfg.Journal.ReadAt(d.buf[:size], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if whole := journal.WholeRecords(d.buf[:n], offset); whole > 0 {
			return d.buf[:whole], nil
		}
		if n < size || size > 2*journal.MaxRecord {
			// Not at a record's beginning: the server took a part of one. It takes the rest.
			return d.buf[:n], nil
		}
		size *= 2
	}
	return nil, nil // an empty append asks how far the server is
}

// tuneForBulk prepares the process for sending a lot. It acts once, because it stops all
// goroutines for a moment.
func (d *Delivery) tuneForBulk() {
	if !d.bulk {
		d.bulk = true
		debug.SetGCPercent(bulkGC)
	}
}

// bufferSize returns how large a buffer is made for a batch of a size: there are few sizes, so that
// growing leaves little behind.
func bufferSize(size int) int {
	for _, room := range []int{minBatch, maxBuffered} {
		if size <= room {
			return room
		}
	}
	return size
}
