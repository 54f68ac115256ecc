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

// MaxAppend is the most journal bytes one append carries, after decompression.
const MaxAppend = 8 << 20

// bodyRooms are the sizes of the memory that bodies are read into: the second for nearly all
// appends, the fourth for the batches of a journal that is far behind.
var bodyRooms = [...]int{8 << 10, 64 << 10, 256 << 10, 2 << 20, MaxAppend + 1}

// bodyPools keep that memory between appends. Made anew for each, it would be nearly all of
// the garbage of a server that takes a lot of output, and collecting it a quarter of its work.
var bodyPools [len(bodyRooms)]sync.Pool

const (
	// bodyWait is how long a body waits for memory while others give some back.
	bodyWait = 3 * time.Second
	// bodySilence is after how long without progress a body makes room for others.
	bodySilence = time.Second
)

// body is the bytes of an append, and what they hold of the server's memory.
type body struct {
	data  []byte
	room  int // which of bodyPools the memory goes back to; -1 for none
	taken int64
	place *shares.Place // nil before it holds anything
	// cut is why the bytes are not all: the client went away, or was cut off.
	cut error
}

// release returns the memory. The bytes must not be used after it.
func (b *body) release() {
	b.recycle()
	b.place.Leave()
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

// readBody reads an append's body within all limits: at most MaxAppend bytes, no more
// memory over all requests and of one client than there is, at least BodyPause's worth of
// the slowest rate in each BodyPause, and BodyTime in all. Bytes that came before a client
// was cut off are good: a journal may be cut anywhere, so a link that always breaks still
// gets on.
func (s *Intake) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := &body{room: -1}
	if r.ContentLength > MaxAppend {
		return b, tooLarge()
	}
	paced := httpio.NewPacedReader(w, r, s.BodyPause, s.BodyTime)
	place, err := s.bodies.Enter(access.CallerOf(r.Context()).Owner(), 0, paced.Drop)
	if err != nil {
		return b, bodyBusy(err)
	}
	defer paced.Stop()
	b.place, paced.Moved = place, place.Moved
	src, done, err := b.decode(paced, r.Header.Get("Content-Encoding"))
	if err == nil {
		defer done()
		err = b.fill(src, r.ContentLength)
	}
	if err != nil {
		b.release()
		return b, err
	}
	place.Keep(true) // the client waits for the server now
	return b, nil
}

// decode is the reader of a request's plain bytes, and what to call when done with it.
func (b *body) decode(paced *httpio.PacedReader, encoding string) (io.Reader, func(), error) {
	switch encoding {
	case "", "identity":
		return paced, func() {}, nil
	case "zstd":
		return b.decodeZstd(paced)
	}
	return nil, nil, httpio.NewProblem(http.StatusUnsupportedMediaType,
		"Content-Encoding %s is not understood: send zstd, or none", job.Quote(encoding))
}

// fill reads src to its end into memory taken step by step, so that a client holds no more
// than 8 KiB, or eight times what it has sent.
func (b *body) fill(src io.Reader, expected int64) error {
	first := int64(bodyRooms[0])
	if expected > 0 && expected < first {
		if err := b.grow(int(expected)+1, -1); err != nil { // one more, to see the end
			return err
		}
	} else if err := b.grow(bodyRooms[0], 0); err != nil {
		return err
	}
	for {
		if next := b.room + 1; len(b.data) == cap(b.data) {
			if err := b.grow(bodyRooms[next], next); err != nil {
				return err
			}
		}
		n, err := src.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		var given *httpio.Problem
		switch {
		case len(b.data) > MaxAppend:
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
func (b *body) grow(size, room int) error {
	if err := b.take(int64(size)); err != nil {
		return err
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
	b.place.Shrink(b.taken)
	b.recycle()
	b.data, b.taken, b.room = data, int64(size), room
	return nil
}

// take counts memory for the body, and waits a moment for it.
func (b *body) take(n int64) error {
	if b.place.Grow(n) == nil {
		return nil
	}
	limit, cancel := context.WithTimeout(context.Background(), bodyWait)
	defer cancel()
	if err := b.place.GrowWait(limit, n); err != nil {
		return bodyBusy(err)
	}
	return nil
}

func tooLarge() error {
	return httpio.NewProblem(http.StatusRequestEntityTooLarge,
		"an append carries at most %d bytes of journal: send it in parts", MaxAppend)
}

// bodyBusy is the answer to an append for which there is no memory.
func bodyBusy(err error) error {
	var full *shares.FullError
	if errors.As(err, &full) && full.Own {
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "this client has as many bodies on their way as the server keeps for one: try again")
	}
	return httpio.Busy(http.StatusTooManyRequests, time.Second, "the server holds too many bodies in memory at the moment: try again")
}
