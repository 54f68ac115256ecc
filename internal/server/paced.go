package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
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
	moved func()      // is called on progress; may be nil
	cut   atomic.Bool // it had to make room
	err   error       // why reading ended, when not at the end

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

// drop cuts the sender off. It may be called from anywhere.
func (p *pacedReader) drop() {
	p.cut.Store(true)
	_ = p.rc.SetReadDeadline(time.Unix(1, 0)) // a recorder in a test has none
}

func (p *pacedReader) Read(b []byte) (int, error) {
	until := p.since.Add(p.pause)
	if until.After(p.end) {
		until = p.end
	}
	_ = p.rc.SetReadDeadline(until) // a recorder in a test has none
	if p.cut.Load() {
		_ = p.rc.SetReadDeadline(time.Unix(1, 0))
		p.err = os.ErrDeadlineExceeded
		return 0, p.err
	}
	n, err := p.ReadCloser.Read(b)
	p.note(int64(n))
	switch {
	case errors.Is(err, io.EOF):
		_ = p.rc.SetReadDeadline(time.Time{})
	case err != nil:
		p.err = err
	}
	return n, err
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
