package segment

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"stint.dev/stint/internal/store/durable"
)

// Batch is a group of frames that is written and synced together. It locks the log until End.
type Batch struct {
	log   *Log
	parts []part
	at    int64 // where the next frame begins
	sync  bool  // some of the bytes are stored only here
	err   error // the first error of the batch
}

// part is one frame of a batch.
type part struct {
	place Place
	frame int // the offset of its header in the log's buffer
	data  []byte
}

// Begin begins a batch. Call End after it.
func (l *Log) Begin() *Batch {
	l.mu.Lock()
	l.buf = l.buf[:0]
	return &Batch{log: l}
}

// Add adds bytes of a journal to the batch and returns where they will be stored. They must not change before
// End.
func (b *Batch) Add(run string, attempt int, start int64, data []byte) (Place, error) {
	b.sync = true
	return b.add(Plain, run, attempt, start, data)
}

// Copy is Add for bytes that are durable elsewhere: a batch with only such bytes is not synced.
func (b *Batch) Copy(kind Kind, run string, attempt int, start int64, data []byte) (Place, error) {
	return b.add(kind, run, attempt, start, data)
}

func (b *Batch) add(kind Kind, run string, attempt int, start int64, data []byte) (Place, error) {
	l := b.log
	if b.err == nil && len(b.parts) == 0 {
		if b.err = l.ensureSegment(); b.err == nil {
			l.end = alignUp(l.end) // a page is written in one way only
			b.at = l.end
		}
	}
	if b.err == nil && len(data) > MaxData {
		b.err = fmt.Errorf("a frame of %d bytes; the most is %d", len(data), MaxData)
	}
	if b.err != nil {
		return Place{}, b.err
	}
	p := part{place: Place{Segment: l.id, Offset: b.at + FrameSize}, frame: len(l.buf), data: data}
	l.buf = appendFrame(l.buf, kind, run, attempt, start, data)
	b.parts = append(b.parts, p)
	b.at = p.place.Offset + int64(len(data))
	return p.place, nil
}

// Read is Log.Read that also reads bytes of this batch.
func (b *Batch) Read(p Place, n int64) ([]byte, error) {
	for _, part := range b.parts {
		if part.place == p && int64(len(part.data)) == n {
			return part.data, nil
		}
	}
	return b.log.Read(p, n)
}

// Write writes the batch and syncs it, unless the log is relaxed or the batch has only copies. After an error
// none of its bytes are stored.
func (b *Batch) Write() error {
	l := b.log
	if b.err != nil || len(b.parts) == 0 {
		return b.err
	}
	wrote := b.writeParts()
	err := wrote
	if err == nil && b.sync && !l.opts.Relaxed {
		err = durable.Data(l.file)
	}
	if err != nil {
		b.err = errors.Join(fmt.Errorf("write %d bytes to segment %d: %w", b.at-l.end, l.id, err), l.truncateBatch(wrote != nil))
		return b.err
	}
	l.end = b.at
	b.parts = nil
	return nil
}

// truncateBatch cuts a failed batch off. If its sync failed, the contents of the file are not known,
// so no more is written to it: reuse is false then.
func (l *Log) truncateBatch(reuse bool) error {
	err := l.file.Truncate(l.end)
	if reuse && err == nil {
		return nil
	}
	if l.end == 0 {
		err = errors.Join(err, os.Remove(l.Path(l.id)))
	}
	return errors.Join(err, l.closeSegment())
}

// writeParts writes all parts in order.
func (b *Batch) writeParts() error {
	l := b.log
	if l.direct != nil && b.at-l.end >= directBytes {
		w := pageWriter{d: l.direct, at: l.end}
		err := b.each(w.write)
		if err == nil {
			err = w.finish()
		}
		if err == nil || !errors.Is(err, syscall.EINVAL) {
			return err
		}
		// The file system accepted the flag, but not the write: use the page cache from now on.
		if err := l.dropDirect(); err != nil {
			return err
		}
	}
	w := gatherWriter{file: l.file, at: l.end, out: l.out[:0]}
	err := b.each(w.write)
	if err == nil {
		err = w.flush()
	}
	l.out = w.out[:0]
	return err
}

// each calls fn with the frames and bytes of all parts in order.
func (b *Batch) each(fn func([]byte) error) error {
	for _, p := range b.parts {
		if err := fn(b.log.buf[p.frame : p.frame+FrameSize]); err != nil {
			return err
		}
		if err := fn(p.data); err != nil {
			return err
		}
	}
	return nil
}

// End unlocks the log, and drops what was not written.
func (b *Batch) End() {
	b.parts = nil
	b.log.mu.Unlock()
}
