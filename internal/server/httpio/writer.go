package httpio

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Writer writes a response of any length. Every write has a deadline of its own, so that a slow client
// gets all of it, and one that accepts nothing is cut off.
type Writer struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration // of a write
	Until   time.Time     // when the whole response must be written; zero for no limit
	cut     atomic.Bool   // Cut was called
	Turn    *Turn         // is paused during writes; may be nil
}

// NewWriter returns a Writer to a client that may take up to timeout to accept each part.
func NewWriter(w http.ResponseWriter, timeout time.Duration) *Writer {
	return &Writer{w: w, rc: http.NewResponseController(w), timeout: timeout}
}

// setDeadline sets the deadline of the next write.
func (p *Writer) setDeadline() {
	by := time.Now().Add(p.timeout)
	if !p.Until.IsZero() && by.After(p.Until) {
		by = p.Until
	}
	_ = p.rc.SetWriteDeadline(by) // only a recorder in a test has none
	if p.cut.Load() {
		_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
	}
}

// Cut fails a write that waits for the client, and later ones. It may be called by any goroutine.
func (p *Writer) Cut() {
	p.cut.Store(true)
	_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
}

func (p *Writer) Write(data []byte) (int, error) {
	const maxPart = 64 << 10
	written := 0
	for len(data) > 0 {
		p.setDeadline()
		resume := p.Turn.Pause()
		n, err := p.w.Write(data[:min(maxPart, len(data))])
		resume()
		written += n
		if err != nil {
			return written, &GoneError{Err: err}
		}
		data = data[n:]
	}
	return written, nil
}

// Flush sends what net/http has buffered.
func (p *Writer) Flush() error {
	p.setDeadline()
	defer p.Turn.Pause()()
	if err := p.rc.Flush(); err != nil {
		return &GoneError{Err: err}
	}
	return nil
}

// GoneError is the error of a write to a client that does not accept the response any more.
type GoneError struct{ Err error }

func (e *GoneError) Error() string { return "the client has gone: " + e.Err.Error() }

func (e *GoneError) Unwrap() error { return e.Err }
