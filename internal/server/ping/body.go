package ping

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

const (
	// BodyLimit is how many bytes of the body of a ping are kept.
	BodyLimit = 10_000_000
	// bodyMemory is the memory of all bodies, and bodyStall how long one may make no progress before it may be cut
	// off for others.
	bodyMemory = 64 << 20
	bodyStall  = time.Second
	// maxChunk is the size of the parts in which a body is kept.
	maxChunk = 64 << 10
)

// body is the beginning of the body of a ping, and its share of the server's memory.
type body struct {
	chunks [][]byte
	cut    lost // what follows them
	place  *shares.Place
}

// lost is output that was sent and is not kept.
type lost struct{ bytes, lines int64 }

// Write counts p.
func (l *lost) Write(p []byte) (int, error) {
	l.bytes += int64(len(p))
	l.lines += int64(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// release returns the memory.
func (b *body) release() {
	if b.place != nil {
		b.place.Leave()
	}
}

// beginning returns the first bytes, at most n.
func (b *body) beginning(n int) []byte {
	var out []byte
	for _, chunk := range b.chunks {
		if len(out) >= n {
			break
		}
		out = append(out, chunk[:min(len(chunk), n-len(out))]...)
	}
	return out
}

// readBody reads the body of a ping to its end, and keeps up to BodyLimit bytes of it: a client that is
// answered before it has sent all may take that for a failure.
func (s *Ping) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := &body{}
	if r.Body == nil || r.Body == http.NoBody {
		return b, nil
	}
	paced := httpio.NewPacedReader(w, r, s.BodyStallTimeout, s.BodyTimeout)
	defer paced.Stop()
	place, err := s.bodies.Enter(access.CallerOf(r.Context()).Owner(), 0, paced.Drop)
	if err != nil {
		return b, errFull()
	}
	b.place, paced.OnProgress = place, place.Progress
	size := maxChunk
	if n := r.ContentLength; n > 0 && n < int64(size) {
		size = int(n)
	}
	for left := BodyLimit; left > 0; {
		n := min(size, left)
		if place.Grow(int64(n)) != nil {
			return b, errFull()
		}
		chunk := make([]byte, n)
		got, err := io.ReadFull(paced, chunk)
		b.chunks = append(b.chunks, chunk[:got])
		left -= got
		if err != nil && paced.Err != nil {
			return b, errCut(paced.Err)
		}
		if err != nil { // the end
			place.Protect(true) // from now on the client waits for the server
			return b, nil
		}
	}
	place.Protect(true)
	if _, err := io.Copy(&b.cut, paced); err != nil {
		return b, errCut(err)
	}
	return b, nil
}

// errFull returns the error for a body for which there is no memory.
func errFull() error {
	return httpio.Busy(http.StatusTooManyRequests, time.Second, "the server has no memory for further bodies at the moment: try again")
}

// errCut returns the error for a body that did not arrive whole.
func errCut(err error) error {
	return httpio.NewProblem(http.StatusBadRequest, "the body did not arrive whole: %v", err)
}
