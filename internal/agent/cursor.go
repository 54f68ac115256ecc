package agent

import (
	"errors"
	"io"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/journal"
)

// cursor reads the records of a journal that is being written.
type cursor struct {
	src    *spool.Journal
	offset int64  // of the next record
	buf    []byte // bytes read ahead, of which rest are not used yet
	rest   []byte
}

// next returns the next whole record, or io.EOF when there is none yet. The payload is
// valid until the next call.
func (c *cursor) next() (journal.Record, error) {
	for {
		rec, n, err := journal.Next(c.rest, c.offset)
		if err == nil {
			c.rest = c.rest[n:]
			c.offset += int64(n)
			return rec, nil
		}
		if !errors.Is(err, journal.ErrShort) {
			return rec, err
		}
		size := max(cap(c.buf), 64<<10)
		if len(c.rest) == cap(c.buf) && cap(c.buf) > 0 {
			size *= 2 // the record is longer than the buffer
		}
		before := len(c.rest)
		if err := c.fill(size); err != nil {
			return rec, err
		}
		if len(c.rest) == before {
			return rec, io.EOF
		}
	}
}

// fill reads as much as there is from the cursor's place on.
func (c *cursor) fill(size int) error {
	if cap(c.buf) < size {
		c.buf = make([]byte, size)
	}
	c.buf = c.buf[:cap(c.buf)]
	n, err := c.src.ReadAt(c.buf, c.offset)
	c.rest = c.buf[:n]
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
