package journal

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Writer appends records to a journal and keeps its length and digest. It is not safe for
// concurrent use.
type Writer struct {
	w      io.Writer
	size   int64
	digest *Digester
	ended  bool
	buf    []byte
}

// ErrEnded refuses a record after the outcome.
var ErrEnded = errors.New("journal has its outcome already")

// NewWriter begins a journal on w: it writes the header.
func NewWriter(w io.Writer) (*Writer, error) {
	jw := &Writer{w: w, digest: NewDigester()}
	header := AppendHeader(nil)
	jw.digest.Header(header)
	return jw, jw.write(header)
}

// ResumeWriter goes on with a journal whose whole records were read by Recover; w must
// append at r.Size. Where not even the header was whole, the first record writes it.
func ResumeWriter(w io.Writer, r Recovered) *Writer {
	return &Writer{w: w, size: r.Size, digest: r.digest, ended: r.Ended}
}

// Size returns the length of the journal so far.
func (w *Writer) Size() int64 { return w.size }

// Ended reports whether the outcome has been written.
func (w *Writer) Ended() bool { return w.ended }

// Append writes one record. It fails, and writes nothing, for a payload longer than
// MaxPayload. After an error of the underlying writer the end may be torn: truncate the
// journal by Recover before going on.
func (w *Writer) Append(r Record) error {
	if len(r.Payload) > MaxPayload {
		return fmt.Errorf("%s record: %d bytes are more than the %d a record holds", r.Type, len(r.Payload), MaxPayload)
	}
	w.buf = AppendRecord(w.buf[:0], r)
	err := w.AppendEncoded(w.buf)
	if cap(w.buf) > 64<<10 { // a rare large record must not stay in memory for ever
		w.buf = nil
	}
	return err
}

// AppendEncoded writes one record that is encoded already (see PutOutput).
func (w *Writer) AppendEncoded(rec []byte) error {
	if w.ended {
		return ErrEnded
	}
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.write(rec); err != nil {
		return err
	}
	w.digest.Record(rec)
	w.ended = Type(rec[8]) == TypeOutcome
	return nil
}

// AppendJSON writes a record with v as its payload.
func (w *Writer) AppendJSON(t Type, at time.Time, v any) error {
	r, err := JSONRecord(t, at, v)
	if err != nil {
		return err
	}
	return w.Append(r)
}

// Finish writes the outcome with the length and digest of the journal before it.
func (w *Writer) Finish(at time.Time, f Final) error {
	if err := w.begin(); err != nil {
		return err
	}
	f.Bytes, f.Digest = w.size, w.digest.Sum()
	return w.AppendJSON(TypeOutcome, at, f)
}

// begin writes the header that a resumed journal may lack.
func (w *Writer) begin() error {
	if w.size > 0 {
		return nil
	}
	return w.write(AppendHeader(nil))
}

func (w *Writer) write(b []byte) error {
	n, err := w.w.Write(b)
	w.size += int64(n)
	return err
}
