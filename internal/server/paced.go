package server

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

// pacedReader gives every read of a body its own deadline, so that a slow link that moves
// is not cut off and one that stalls is, and one that brings a byte from time to time.
// At the end of the body the deadline is lifted, for it would end the request while its
// handler still works; before the end it stays, because net/http reads on when the handler
// has returned.
type pacedReader struct {
	io.ReadCloser
	rc    *http.ResponseController
	pause time.Duration
	end   time.Time
	moved func() // is called on progress; may be nil
	err   error  // why reading ended, when not at the end

	mu    sync.Mutex
	cut   bool // the body had to make room for others
	ended bool // nobody reads the body any more

	since    time.Time // when enough had come last
	came     int64     // since then
	progress int64     // bytes that were not yet reported to moved
}

func newPacedReader(w http.ResponseWriter, r *http.Request, pause, longest time.Duration) *pacedReader {
	now := time.Now()
	return &pacedReader{
		ReadCloser: r.Body, rc: http.NewResponseController(w), pause: pause, end: now.Add(longest), since: now,
	}
}

// drop cuts off the sender of a body that is being read. It may be called from anywhere, and at any
// time: afterwards the connection belongs to the handler, or to the next request, which a deadline
// would end.
func (p *pacedReader) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.cut = true
		_ = p.rc.SetReadDeadline(time.Unix(1, 0)) // a recorder in a test has none
	}
}

// stop notes that nobody reads the body any more.
func (p *pacedReader) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if p.err = p.setDeadline(); p.err != nil {
		return 0, p.err
	}
	n, err := p.ReadCloser.Read(b)
	p.note(int64(n))
	switch {
	case errors.Is(err, io.EOF):
		p.stop()
		_ = p.rc.SetReadDeadline(time.Time{})
	case err != nil:
		p.err = err
	}
	return n, err
}

// setDeadline sets the deadline of the next read, or says that the sender was cut off.
func (p *pacedReader) setDeadline() error {
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

// note counts what came.
func (p *pacedReader) note(n int64) {
	if p.came += n; p.came >= int64(p.pause.Seconds()*slowestBody) {
		p.since, p.came = time.Now(), 0
	}
	if p.progress += n; p.progress >= movedEvery && p.moved != nil {
		p.progress = 0
		p.moved()
	}
}
