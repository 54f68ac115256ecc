package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/job"
)

// maxAppend is the most journal bytes one append carries, after decompression.
const maxAppend = 8 << 20

// bodyRooms are the sizes of the memory that bodies are read into: the first for nearly all
// appends, the third for the batches of a journal that is far behind.
var bodyRooms = [...]int{64 << 10, 256 << 10, 2 << 20, maxAppend + 1}

// bodyPools keep that memory between appends. Made anew for each, it would be nearly all of
// the garbage of a server that takes a lot of output, and collecting it a quarter of its work.
var bodyPools [len(bodyRooms)]sync.Pool

// body is the bytes of an append, and what they hold of the server's memory.
type body struct {
	data  []byte
	room  int // which of bodyPools the memory goes back to; -1 for none
	taken int64
	from  *budget
	// cut is why the bytes are not all: the client went away, or was cut off.
	cut error
}

// release returns the memory. The bytes must not be used after it.
func (b *body) release() {
	b.from.give(b.taken)
	b.recycle()
	b.taken, b.data = 0, nil
}

// recycle keeps the memory for the next that wants it.
func (b *body) recycle() {
	if b.room >= 0 && cap(b.data) == bodyRooms[b.room] {
		memory := b.data[:0]
		bodyPools[b.room].Put(&memory)
	}
	b.room = -1
}

// readBody reads an append's body within all limits: at most maxAppend bytes, no more
// memory over all requests than the budget, a pause of at most BodyPause and BodyTime in
// all. Bytes that came before a client was cut off are good: a journal may be cut
// anywhere, so a link that always breaks still gets on.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := &body{from: &s.bodies, room: -1}
	if r.ContentLength > maxAppend {
		return b, tooLarge()
	}
	src, done, err := s.decode(w, r)
	if err != nil {
		return b, err
	}
	defer done()
	if err := b.fill(src, r.ContentLength); err != nil {
		b.release()
		return b, err
	}
	return b, nil
}

// decode is the reader of a request's plain bytes, and what to call when done with it.
func (s *Server) decode(w http.ResponseWriter, r *http.Request) (io.Reader, func(), error) {
	paced := &pacedReader{
		ReadCloser: r.Body, rc: http.NewResponseController(w),
		pause: s.cfg.BodyPause, end: time.Now().Add(s.cfg.BodyTime),
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return paced, func() {}, nil
	case "zstd":
		// The decoder's own buffers count too: about one window.
		if !s.bodies.take(maxAppend) {
			return nil, nil, bodyBusy()
		}
		z, err := zstd.NewReader(paced, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxAppend+1), zstd.WithDecoderMaxWindow(maxAppend))
		if err != nil {
			s.bodies.give(maxAppend)
			return nil, nil, fmt.Errorf("make zstd reader: %w", err)
		}
		return &zstdBody{z, paced}, func() { z.Close(); s.bodies.give(maxAppend) }, nil
	default:
		return nil, nil, newProblem(http.StatusUnsupportedMediaType,
			"Content-Encoding %s is not understood: send zstd, or none", job.Quote(encoding))
	}
}

// fill reads src to its end into memory taken from the budget step by step, so that a
// client holds no more than 64 KiB, or eight times what it has sent.
func (b *body) fill(src io.Reader, expected int64) error {
	if first := int64(bodyRooms[0]); expected > 0 && expected < first/4 {
		if !b.grow(int(expected)+1, -1) { // one more, to see the end
			return bodyBusy()
		}
	} else if !b.grow(bodyRooms[0], 0) {
		return bodyBusy()
	}
	for {
		if next := b.room + 1; len(b.data) == cap(b.data) && !b.grow(bodyRooms[next], next) {
			return bodyBusy()
		}
		n, err := src.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		var given *problem
		switch {
		case len(b.data) > maxAppend:
			return tooLarge()
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &given):
			return given
		case err != nil:
			b.cut = err
			return nil
		}
	}
}

// grow moves the bytes into memory of a size, from one of bodyPools or, with -1, of its own.
func (b *body) grow(size, room int) bool {
	if !b.from.take(int64(size)) {
		return false
	}
	var data []byte
	if room >= 0 {
		if kept, ok := bodyPools[room].Get().(*[]byte); ok {
			data = *kept
		}
	}
	if data == nil {
		data = make([]byte, 0, size)
	}
	data = append(data, b.data...)
	b.from.give(b.taken)
	b.recycle()
	b.data, b.taken, b.room = data, int64(size), room
	return true
}

func tooLarge() error {
	return newProblem(http.StatusRequestEntityTooLarge,
		"an append carries at most %d bytes of journal: send it in parts", maxAppend)
}

func bodyBusy() error {
	return busy(http.StatusTooManyRequests, time.Second, "the server holds too many bodies in memory at the moment: try again")
}

// pacedReader gives every read of a body its own deadline, so that a slow link that moves
// is not cut off and one that stands still is. At the end of the body the deadline is
// lifted, for it would end the request while its handler still works; before the end it
// stays, because net/http reads on when the handler has returned.
type pacedReader struct {
	io.ReadCloser
	rc    *http.ResponseController
	pause time.Duration
	end   time.Time
	err   error // why reading ended, when not at the end
}

func (p *pacedReader) Read(b []byte) (int, error) {
	until := time.Now().Add(p.pause)
	if until.After(p.end) {
		until = p.end
	}
	_ = p.rc.SetReadDeadline(until) // a recorder in a test has none
	n, err := p.ReadCloser.Read(b)
	switch {
	case errors.Is(err, io.EOF):
		_ = p.rc.SetReadDeadline(time.Time{})
	case err != nil:
		p.err = err
	}
	return n, err
}

// zstdBody tells bytes that are not zstd, the client's mistake, from a body cut short.
type zstdBody struct {
	z      *zstd.Decoder
	source *pacedReader
}

func (z *zstdBody) Read(b []byte) (int, error) {
	n, err := z.z.Read(b)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case z.source.err != nil:
		return n, z.source.err
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return n, tooLarge()
	}
	return n, newProblem(http.StatusBadRequest, "the body says zstd and is not whole zstd: %s", err)
}
