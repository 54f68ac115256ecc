package httpio

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Writer writes an answer that may take as long as it likes, as long as the client
// goes on taking it: every piece has its own deadline, so a slow link works and a dead one
// is cut off.
type Writer struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	pause time.Duration
	Until time.Time   // when the answer must be written; zero for whenever
	gone  atomic.Bool // the client was cut off
	Turn  *Turn       // is paused while the client takes a piece; may be nil
}

// NewWriter makes a writer to a client that may take so long to accept a piece.
func NewWriter(w http.ResponseWriter, pause time.Duration) *Writer {
	return &Writer{w: w, rc: http.NewResponseController(w), pause: pause}
}

// allow gives the next write its deadline.
func (p *Writer) allow() {
	by := time.Now().Add(p.pause)
	if !p.Until.IsZero() && by.After(p.Until) {
		by = p.Until
	}
	_ = p.rc.SetWriteDeadline(by) // only a recorder in a test has none
	if p.gone.Load() {
		_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
	}
}

// Cut ends a write that waits for the client. It may be called from anywhere.
func (p *Writer) Cut() {
	p.gone.Store(true)
	_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
}

func (p *Writer) Write(data []byte) (int, error) {
	const most = 64 << 10
	written := 0
	for len(data) > 0 {
		p.allow()
		resume := p.Turn.Pause()
		n, err := p.w.Write(data[:min(most, len(data))])
		resume()
		written += n
		if err != nil {
			return written, &GoneError{Err: err}
		}
		data = data[n:]
	}
	return written, nil
}

// Flush sends what the HTTP server holds back.
func (p *Writer) Flush() error {
	p.allow()
	defer p.Turn.Pause()()
	if err := p.rc.Flush(); err != nil {
		return &GoneError{Err: err}
	}
	return nil
}

// GoneError says that the client does not take the answer any more.
type GoneError struct{ Err error }

func (e *GoneError) Error() string { return "client is gone: " + e.Err.Error() }

func (e *GoneError) Unwrap() error { return e.Err }
