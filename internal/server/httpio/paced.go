package httpio

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// minBodyRate is how many bytes a second the sender of a body must send on average within each stall
// timeout.
const minBodyRate = 256

// progressBytes is how many bytes count as progress.
const progressBytes = 1 << 10

// PacedReader reads a body, and sets a deadline for every read. A sender that is slow but sends at
// minBodyRate is not cut off; one that stalls, or sends a byte from time to time, is. At the end of the
// body the deadline is removed, because it would end the request while its handler works; before the
// end it stays, because net/http reads the rest of the body after the handler has returned.
type PacedReader struct {
	io.ReadCloser
	rc           *http.ResponseController
	stallTimeout time.Duration
	end          time.Time // when the whole body must have arrived
	OnProgress   func()    // is called on progress; may be nil
	Err          error     // why reading ended before the end of the body

	mu       sync.Mutex
	cut      bool // Drop was called
	finished bool // the body is not read any more

	since    time.Time // when the present stall timeout began
	received int64     // bytes since then
	progress int64     // bytes that were not reported to OnProgress
}

// NewPacedReader returns a reader of the body of r, whose sender may send next to nothing for
// stallTimeout, and must send all of it within timeout.
func NewPacedReader(w http.ResponseWriter, r *http.Request, stallTimeout, timeout time.Duration) *PacedReader {
	now := time.Now()
	return &PacedReader{
		ReadCloser: r.Body, rc: http.NewResponseController(w), stallTimeout: stallTimeout, end: now.Add(timeout), since: now,
	}
}

// Drop cuts off the sender of a body, unless the body is not read any more: afterwards the connection
// is used by the handler or the next request, which a deadline would end. It may be called at any time
// and by any goroutine.
func (p *PacedReader) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.finished {
		p.cut = true
		_ = p.rc.SetReadDeadline(time.Unix(1, 0)) // a recorder in a test has none
	}
}

// Stop must be called when the body is not read any more.
func (p *PacedReader) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
}

func (p *PacedReader) Read(b []byte) (int, error) {
	if p.Err = p.setDeadline(); p.Err != nil {
		return 0, p.Err
	}
	n, err := p.ReadCloser.Read(b)
	p.count(int64(n))
	switch {
	case errors.Is(err, io.EOF):
		p.Stop()
		_ = p.rc.SetReadDeadline(time.Time{})
	case err != nil:
		p.Err = err
	}
	return n, err
}

// setDeadline sets the deadline of the next read. It returns an error if the sender was cut off.
func (p *PacedReader) setDeadline() error {
	until := p.since.Add(p.stallTimeout)
	if until.After(p.end) {
		until = p.end
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return os.ErrDeadlineExceeded
	}
	_ = p.rc.SetReadDeadline(until) // a recorder in a test has none
	return nil
}

// count counts received bytes.
func (p *PacedReader) count(n int64) {
	if p.received += n; p.received >= int64(p.stallTimeout.Seconds()*minBodyRate) {
		p.since, p.received = time.Now(), 0
	}
	if p.progress += n; p.progress >= progressBytes && p.OnProgress != nil {
		p.progress = 0
		p.OnProgress()
	}
}
