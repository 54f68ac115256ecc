package segment

import (
	"errors"
	"fmt"
	"os"
)

// Batch is a group of frames that is written and synced at once. It has the log to itself
// until End.
type Batch struct {
	log   *Log
	parts []part
	at    int64 // where the next frame begins
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

// Add takes bytes into the batch and returns where they will stand. They must not change
// before End.
func (b *Batch) Add(run string, attempt int, start int64, data []byte) (Place, error) {
	l := b.log
	if b.err == nil && len(b.parts) == 0 {
		if b.err = l.ready(); b.err == nil {
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
	l.buf = appendFrame(l.buf, run, attempt, start, data)
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

// Write writes the batch and, unless the log is relaxed, syncs it. After an error nothing
// of it counts.
func (b *Batch) Write() error {
	l := b.log
	if b.err != nil || len(b.parts) == 0 {
		return b.err
	}
	wrote := b.writeParts()
	err := wrote
	if err == nil && !l.opts.Relaxed {
		err = syncData(l.file)
	}
	if err != nil {
		b.err = errors.Join(fmt.Errorf("write %d bytes to segment %d: %w", b.at-l.end, l.id, err), l.takeBack(wrote != nil))
		return b.err
	}
	l.end = b.at
	b.parts = nil
	return nil
}

// takeBack gives the space of a failed batch back. When the sync failed, nobody knows what
// the file holds from now on, so it is written no more.
func (l *Log) takeBack(goOn bool) error {
	err := l.file.Truncate(l.end)
	if goOn && err == nil {
		return nil
	}
	if l.end == 0 {
		err = errors.Join(err, os.Remove(l.Path(l.id)))
	}
	return errors.Join(err, l.finish())
}

// gather is how many bytes are copied together into one write; larger parts are written
// from where they stand.
const gather = 256 << 10

// writeParts writes all parts in order with few calls and few copies.
func (b *Batch) writeParts() error {
	l := b.log
	at := l.end
	out := l.out[:0]
	defer func() { l.out = out[:0] }()
	flush := func() error {
		n, err := l.file.WriteAt(out, at)
		at += int64(n)
		out = out[:0]
		return err
	}
	for _, p := range b.parts {
		header := l.buf[p.frame : p.frame+FrameSize]
		out = append(out, header...)
		if len(p.data) <= gather/4 {
			if out = append(out, p.data...); len(out) < gather {
				continue
			}
			if err := flush(); err != nil {
				return err
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		n, err := l.file.WriteAt(p.data, at)
		at += int64(n)
		if err != nil {
			return err
		}
	}
	if len(out) == 0 {
		return nil
	}
	return flush()
}

// End gives the log back. What was not written is forgotten.
func (b *Batch) End() {
	b.parts = nil
	b.log.mu.Unlock()
}
