package httpio

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// slowestBody is how many bytes a second the sender of a body must bring on average over each
// pause that it is allowed.
const slowestBody = 256

// movedEvery is how many bytes count as progress.
const movedEvery = 1 << 10

// PacedReader gives every read of a body its own deadline, so that a slow link that moves
// is not cut off and one that stalls is, and one that brings a byte from time to time.
// At the end of the body the deadline is lifted, for it would end the request while its
// handler still works; before the end it stays, because net/http reads on when the handler
// has returned.
type PacedReader struct {
	io.ReadCloser
	rc    *http.ResponseController
	pause time.Duration
	end   time.Time
	Moved func() // is called on progress; may be nil
	Err   error  // why reading ended, when not at the end

	mu    sync.Mutex
	cut   bool // the body had to make room for others
	ended bool // nobody reads the body any more

	since    time.Time // when enough had come last
	came     int64     // since then
	progress int64     // bytes that were not yet reported to Moved
}

// NewPacedReader makes a reader of the body of r whose sender may bring next to nothing for a
// pause, and may take so long for all of it.
func NewPacedReader(w http.ResponseWriter, r *http.Request, pause, longest time.Duration) *PacedReader {
	now := time.Now()
	return &PacedReader{
		ReadCloser: r.Body, rc: http.NewResponseController(w), pause: pause, end: now.Add(longest), since: now,
	}
}

// Drop cuts off the sender of a body that is being read. It may be called from anywhere, and at any
// time: afterwards the connection belongs to the handler, or to the next request, which a deadline
// would end.
func (p *PacedReader) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.cut = true
		_ = p.rc.SetReadDeadline(time.Unix(1, 0)) // a recorder in a test has none
	}
}

// Stop notes that nobody reads the body any more.
func (p *PacedReader) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
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

// setDeadline sets the deadline of the next read, or says that the sender was cut off.
func (p *PacedReader) setDeadline() error {
	until := p.since.Add(p.pause)
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

// count counts what came.
func (p *PacedReader) count(n int64) {
	if p.came += n; p.came >= int64(p.pause.Seconds()*slowestBody) {
		p.since, p.came = time.Now(), 0
	}
	if p.progress += n; p.progress >= movedEvery && p.Moved != nil {
		p.progress = 0
		p.Moved()
	}
}
