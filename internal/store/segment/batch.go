package segment

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"stint.dev/stint/internal/store/durable"
)

// Batch is a group of frames that is written and synced at once. It has the log to itself
// until End.
type Batch struct {
	log   *Log
	parts []part
	at    int64 // where the next frame begins
	sync  bool  // some of the bytes are nowhere else
	err   error // why this batch cannot go on
}

// part is one frame on its way.
type part struct {
	place Place
	frame int // where its header stands in the log's buffer
	data  []byte
}

// Begin begins a batch; End must follow.
func (l *Log) Begin() *Batch {
	l.mu.Lock()
	l.buf = l.buf[:0]
	return &Batch{log: l}
}

// Add takes bytes of a journal into the batch and returns where they will stand. They must
// not change before End.
func (b *Batch) Add(run string, attempt int, start int64, data []byte) (Place, error) {
	b.sync = true
	return b.add(Plain, run, attempt, start, data)
}

// Copy is Add for bytes that are durable elsewhere: a batch of nothing else is not synced.
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

// Read is Log.Read that knows the bytes of this batch too.
func (b *Batch) Read(p Place, n int64) ([]byte, error) {
	for _, part := range b.parts {
		if part.place == p && int64(len(part.data)) == n {
			return part.data, nil
		}
	}
	return b.log.Read(p, n)
}

// Write writes the batch and syncs it, unless the log is relaxed or all of it is copies.
// After an error nothing of it counts.
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
		// The file system took the flag and not the write: do without from now on.
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

// End gives the log back. What was not written is forgotten.
func (b *Batch) End() {
	b.parts = nil
	b.log.mu.Unlock()
}
