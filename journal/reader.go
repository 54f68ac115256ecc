package journal

import (
	"errors"
	"io"
	"time"
)

// Reader reads a journal from its beginning. It holds one record in memory at a time, and
// its buffer grows only to what a record that is really there needs.
type Reader struct {
	r       io.Reader
	buf     []byte
	lo, hi  int   // what is read and not yet used: buf[lo:hi]
	offset  int64 // of the next record; 0 before the header
	skipped int
	pending int // bytes of the last record, dropped at the next call
}

const firstBuffer = 32 << 10

// NewReader reads the journal that r holds.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// NewReaderAt reads records from r that are at an offset of a journal, after its header.
func NewReaderAt(r io.Reader, offset int64) *Reader { return &Reader{r: r, offset: offset} }

// Offset returns where the next record begins.
func (r *Reader) Offset() int64 { return r.offset }

// Skipped counts the records of types that this version does not know.
func (r *Reader) Skipped() int { return r.skipped }

// Next returns the next record of a known type. Its payload is valid until the next call.
// It returns io.EOF at a whole end, ErrShort at a torn one, *NewerError or *CorruptError.
func (r *Reader) Next() (Record, error) {
	for {
		rec, _, err := r.next()
		if err != nil {
			return Record{}, err
		}
		if Known(rec.Type) {
			return rec, nil
		}
		r.skipped++
	}
}

// Known reports whether this version knows a type.
func Known(t Type) bool { return t >= TypeAttempt && t <= TypeStopping }

// next returns the next record of any type together with its encoded form.
func (r *Reader) next() (Record, []byte, error) {
	r.lo += r.pending
	r.pending = 0
	if r.offset == 0 {
		header, err := r.peek(HeaderSize)
		if err != nil {
			return Record{}, nil, err
		}
		if err := CheckHeader(header); err != nil {
			return Record{}, nil, err
		}
		r.lo += HeaderSize
		r.offset = HeaderSize
	}
	frame, err := r.peek(FrameSize)
	if err != nil {
		return Record{}, nil, err
	}
	if len(frame) == 0 {
		return Record{}, nil, io.EOF
	}
	_, _, err = Next(frame, r.offset)
	if err != nil && !errors.Is(err, ErrShort) {
		return Record{}, nil, err
	}
	whole, err := r.peek(recordLength(frame))
	if err != nil {
		return Record{}, nil, err
	}
	rec, n, err := Next(whole, r.offset)
	if err != nil {
		return Record{}, nil, err
	}
	r.offset += int64(n)
	r.pending = n
	return rec, whole[:n], nil
}

// peek returns the next n bytes, or fewer at the end of the source. The buffer doubles as
// bytes arrive, so that a false length costs no memory.
func (r *Reader) peek(n int) ([]byte, error) {
	for empty := 0; r.hi-r.lo < n; {
		if r.lo > 0 && (r.hi == len(r.buf) || r.lo == r.hi) {
			r.hi = copy(r.buf, r.buf[r.lo:r.hi])
			r.lo = 0
		}
		if r.hi == len(r.buf) {
			grown := make([]byte, min(max(firstBuffer, 2*len(r.buf)), MaxRecord))
			copy(grown, r.buf[:r.hi])
			r.buf = grown
		}
		got, err := r.r.Read(r.buf[r.hi:])
		r.hi += got
		switch {
		case errors.Is(err, io.EOF):
			return r.buf[r.lo:min(r.hi, r.lo+n)], nil
		case err != nil:
			return nil, err
		case got > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return nil, io.ErrNoProgress
			}
		}
	}
	return r.buf[r.lo : r.lo+n], nil
}

// recordLength returns the whole length that a frame announces; of a short frame, FrameSize.
func recordLength(frame []byte) int {
	if len(frame) < FrameSize {
		return FrameSize
	}
	return FrameSize + int(uint32(frame[4])|uint32(frame[5])<<8|uint32(frame[6])<<16|uint32(frame[7])<<24)
}

// Recovered is what a journal holds up to its last whole record.
type Recovered struct {
	Size    int64 // where appending may go on; 0 when not even the header is whole
	Torn    int64 // bytes after it, which are of no use
	Attempt Attempt
	// Open is the index of a step that began and did not end; -1 for none.
	Open   int
	LastAt time.Time // time of the last whole record
	Ended  bool
	Final  Final // when Ended
	digest *Digester
}

// Recover reads a journal that its writer may have left in the middle of a record: after a
// crash, everything before the first byte that is not a whole record stands, and the rest
// is torn. If src is an io.Seeker, the rest is not read, and src is at its end. A *NewerError, and an error of the reader itself, are returned; a torn or
// corrupt tail is not an error.
func Recover(src io.Reader) (Recovered, error) {
	out := Recovered{Open: -1, digest: NewDigester()}
	out.digest.Header(AppendHeader(nil))
	err := out.recover(src)
	return out, err
}

// recover reads on from out.Size.
func (out *Recovered) recover(src io.Reader) error {
	begun := out.Size
	counted := &countingReader{r: src}
	r := NewReader(counted)
	r.offset = begun
	for {
		rec, encoded, err := r.next()
		var corrupt *CorruptError
		if errors.Is(err, io.EOF) || errors.Is(err, ErrShort) || errors.As(err, &corrupt) {
			break
		}
		if err != nil {
			return err
		}
		if out.Ended || !out.take(rec) {
			r.offset -= int64(rec.Size())
			break
		}
		out.digest.Record(encoded)
		out.LastAt = rec.At
	}
	out.Size = r.offset
	rest, err := remaining(src)
	out.Torn = begun + counted.n + rest - out.Size
	return err
}

// remaining returns how much src holds from its position. A source that can seek is not read
// for that: what follows a torn end may be huge, as in a file with holes.
func remaining(src io.Reader) (int64, error) {
	s, ok := src.(io.Seeker)
	if !ok {
		return io.Copy(io.Discard, src)
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	end, err := s.Seek(0, io.SeekEnd)
	return end - at, err
}

// take notes what recovery needs from a record. It reports false for a payload that its
// writer could not have meant; the journal stands up to there.
func (out *Recovered) take(rec Record) bool {
	switch rec.Type {
	case TypeAttempt:
		return Decode(rec, &out.Attempt) == nil
	case TypeStepStarted:
		var s StepStarted
		if Decode(rec, &s) != nil {
			return false
		}
		out.Open = s.Index
	case TypeStepEnded:
		out.Open = -1
	case TypeOutcome:
		if Decode(rec, &out.Final) != nil {
			return false
		}
		out.Ended = true
	}
	return true
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
