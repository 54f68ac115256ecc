package intake

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// MaxAppend is the most journal bytes of one append, after decompression.
const MaxAppend = 8 << 20

// bufferSizes are the sizes of the buffers that bodies are read into. Nearly all appends fit into the
// second, and the batches of a journal that is far behind into the fourth.
var bufferSizes = [...]int{8 << 10, 64 << 10, 256 << 10, 2 << 20, MaxAppend + 1}

// bufferPools keep the buffers between appends. Without them, the buffers would be nearly all garbage
// of a busy server, and collecting them a quarter of its work.
var bufferPools [len(bufferSizes)]sync.Pool

const (
	// bodyMemoryTimeout is how long a body waits for memory that others release.
	bodyMemoryTimeout = 3 * time.Second
	// bodyStallLimit is how long a body may make no progress before it may be cut off for others.
	bodyStallLimit = time.Second
)

// body is the body of an append, and its share of the server's memory.
type body struct {
	data        []byte
	class       int   // index of the buffer in bufferSizes; -1 for a buffer of another size
	memoryBytes int64 // bytes of memory that are counted for it
	place       *shares.Place
	// cut is why the body is incomplete: the client went away, or was cut off. nil if it is complete.
	cut error
}

// release returns the memory. data must not be used afterwards.
func (b *body) release() {
	b.recycle()
	b.place.Leave()
	b.memoryBytes, b.data = 0, nil
}

// recycle returns the buffer to its pool.
func (b *body) recycle() {
	if b.class >= 0 && cap(b.data) == bufferSizes[b.class] {
		memory := b.data[:0]
		bufferPools[b.class].Put(&memory)
	}
	b.class = -1
}

// readBody reads the body of an append. The limits are MaxAppend bytes, the memory for all bodies
// and for those of one client, the least rate within BodyStallTimeout, and BodyTimeout for the whole body. If
// the client is cut off, the bytes received so far are returned: a journal may be cut at any byte, so
// a client whose connection always breaks still makes progress.
func (s *Intake) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := &body{class: -1}
	if r.ContentLength > MaxAppend {
		return b, errTooLarge()
	}
	paced := httpio.NewPacedReader(w, r, s.BodyStallTimeout, s.BodyTimeout)
	place, err := s.bodies.Enter(access.CallerOf(r.Context()).Owner(), 0, paced.Drop)
	if err != nil {
		return b, errBodiesFull(err)
	}
	defer paced.Stop()
	b.place, paced.OnProgress = place, place.Progress
	src, done, err := b.decode(paced, r.Header.Get("Content-Encoding"))
	if err == nil {
		defer done()
		err = b.fill(src, r.ContentLength)
	}
	if err != nil {
		b.release()
		return b, err
	}
	place.Protect(true) // from now on the client waits for the server
	return b, nil
}

// decode returns a reader of the decoded body, and a function that must be called after reading.
func (b *body) decode(paced *httpio.PacedReader, encoding string) (io.Reader, func(), error) {
	switch encoding {
	case "", "identity":
		return paced, func() {}, nil
	case "zstd":
		return b.decodeZstd(paced)
	}
	return nil, nil, httpio.NewProblem(http.StatusUnsupportedMediaType,
		"the Content-Encoding %s is not supported: send zstd, or none", job.Quote(encoding))
}

// fill reads src to its end. The buffer grows step by step, so that a client uses no more memory than
// 8 KiB or eight times what it has sent.
func (b *body) fill(src io.Reader, expected int64) error {
	first := int64(bufferSizes[0])
	if expected > 0 && expected < first {
		if err := b.grow(int(expected)+1, -1); err != nil { // one byte more, to detect the end
			return err
		}
	} else if err := b.grow(bufferSizes[0], 0); err != nil {
		return err
	}
	for {
		if next := b.class + 1; len(b.data) == cap(b.data) {
			if err := b.grow(bufferSizes[next], next); err != nil {
				return err
			}
		}
		n, err := src.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		var problem *httpio.Problem
		switch {
		case len(b.data) > MaxAppend:
			return errTooLarge()
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &problem):
			return problem
		case err != nil:
			b.cut = err
			return nil
		}
	}
}

// grow moves the bytes into a buffer of a size, from the pool of its class or, for -1, a new one.
func (b *body) grow(size, class int) error {
	if err := b.take(int64(size)); err != nil {
		return err
	}
	var data []byte
	if class >= 0 {
		if pooled, ok := bufferPools[class].Get().(*[]byte); ok {
			data = *pooled
		}
	}
	if data == nil {
		data = make([]byte, 0, size)
	}
	data = append(data, b.data...)
	b.place.Shrink(b.memoryBytes)
	b.recycle()
	b.data, b.memoryBytes, b.class = data, int64(size), class
	return nil
}

// take adds n bytes to the memory of the body. It waits up to bodyMemoryTimeout for them.
func (b *body) take(n int64) error {
	if b.place.Grow(n) == nil {
		return nil
	}
	limit, cancel := context.WithTimeout(context.Background(), bodyMemoryTimeout)
	defer cancel()
	if err := b.place.GrowWait(limit, n); err != nil {
		return errBodiesFull(err)
	}
	return nil
}

// errTooLarge returns the error for an append of more than MaxAppend bytes.
func errTooLarge() error {
	return httpio.NewProblem(http.StatusRequestEntityTooLarge,
		"an append has at most %d journal bytes: send the journal in parts", MaxAppend)
}

// errBodiesFull returns the error for an append for which there is no memory.
func errBodiesFull(err error) error {
	var full *shares.FullError
	if errors.As(err, &full) && full.Own {
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "this client uses all the memory for bodies that one client may have: try again")
	}
	return httpio.Busy(http.StatusTooManyRequests, time.Second, "the server has no memory for further bodies at the moment: try again")
}
