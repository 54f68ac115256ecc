package intake

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

func enter(t *testing.T, s *shares.Shares) *shares.Place {
	t.Helper()
	p, err := s.Enter(shares.Owner{Token: "test"}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Bodies of every size come whole, in memory of their own as long as they are held, and give
// all of it back to the budget.
func TestBodiesKeepTheirMemoryUntilReleased(t *testing.T) {
	from := shares.New(shares.Limits{All: 64 << 20, Token: 64 << 20}, time.Now)
	sizes := []int{0, 1, 100, 16 << 10}
	for _, room := range bufferSizes[:4] {
		sizes = append(sizes, room-1, room, room+1)
	}
	sizes = append(sizes, MaxAppend)
	chance := rand.NewChaCha8([32]byte{})
	for range 3 {
		var held []*body
		var sent [][]byte
		for i, size := range sizes {
			data := make([]byte, size)
			_, _ = chance.Read(data) // it has no way to fail
			expected := int64(size)
			if i%2 == 1 {
				expected = -1 // of a client that does not say
			}
			b := &body{place: enter(t, from), class: -1}
			if err := b.fill(bytes.NewReader(data), expected); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			held, sent = append(held, b), append(sent, data)
		}
		for i, b := range held {
			if !bytes.Equal(b.data, sent[i]) {
				t.Errorf("a body of %d bytes came as %d other bytes", len(sent[i]), len(b.data))
			}
			b.release()
		}
	}
	if used := from.Used(); used != 0 {
		t.Errorf("%d bytes of the budget were not given back", used)
	}
}

// A client that has sent little holds little, whatever it promises; and one that is cut off
// leaves what came.
func TestBodyTakesMemoryAsItComes(t *testing.T) {
	from := shares.New(shares.Limits{All: 64 << 20, Token: 64 << 20}, time.Now)
	cut := errors.New("cut off")
	for _, sent := range []int{0, 100, 8<<10 + 1, 64<<10 + 1, 256<<10 + 1} {
		b := &body{place: enter(t, from), class: -1}
		data := bytes.Repeat([]byte{'x'}, sent)
		if err := b.fill(&cutReader{bytes.NewReader(data), sent, cut}, MaxAppend); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(b.cut, cut) || !bytes.Equal(b.data, data) {
			t.Errorf("of %d bytes %d came, and %v", sent, len(b.data), b.cut)
		}
		if most := int64(max(8<<10, 8*sent)); b.memoryBytes > most || b.place == nil || from.Used() != b.memoryBytes {
			t.Errorf("for %d bytes %d are held; the most is %d", sent, b.memoryBytes, most)
		}
		b.release()
	}
}

// cutReader ends with an error after so many bytes.
type cutReader struct {
	src io.Reader
	n   int
	err error
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.n == 0 {
		return 0, c.err
	}
	n, _ := c.src.Read(p) // the end is ours
	c.n -= n
	return n, nil
}

// deadlines is a connection that remembers its read deadline.
type deadlines struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.until = t; return nil }

// Only a body that is on its way makes room for others. A client that has sent all of it waits for the server,
// and a deadline would end their request.
func TestOnlyBodiesThatAreReadMakeRoom(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &Intake{
		Config: Config{BodyStallTimeout: time.Minute, BodyTimeout: time.Minute},
		bodies: shares.New(shares.Limits{All: 10 << 10, Token: 10 << 10, Address: 10 << 10, Silence: bodyStallLimit}, func() time.Time { return now }),
	}
	makeRoom := func() error {
		now = now.Add(time.Hour)
		_, err := s.bodies.Enter(shares.Owner{Token: "other"}, 10<<10, nil)
		return err
	}
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 50)))
	b, err := s.readBody(w, r)
	if err != nil || len(b.data) != 50 {
		t.Fatalf("%d bytes, %v", len(b.data), err)
	}
	if err := makeRoom(); err == nil || !w.until.IsZero() {
		t.Errorf("the deadline of a request with a whole body is %s, when another one was answered %v", w.until, err)
	}
	b.release()

	slow := &slowBody{begun: make(chan struct{}), end: make(chan struct{})}
	w = &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r = httptest.NewRequest(http.MethodPost, "/", slow)
	var done sync.WaitGroup
	done.Go(func() { b, err = s.readBody(w, r) })
	<-slow.begun
	if _, err := s.bodies.Enter(shares.Owner{Token: "third"}, 10<<10, nil); err == nil {
		t.Fatal("there is room beside a body")
	}
	if err := makeRoom(); err == nil || !w.until.Equal(time.Unix(1, 0)) {
		t.Errorf("the deadline of a body that does not arrive is %s, when another one was answered %v", w.until, err)
	}
	close(slow.end)
	done.Wait()
	b.release()
	if err := makeRoom(); err != nil {
		t.Error(err)
	}
}

// slowBody brings nothing until its end.
type slowBody struct {
	once       sync.Once
	begun, end chan struct{}
}

func (s *slowBody) Read([]byte) (int, error) {
	s.once.Do(func() { close(s.begun) })
	<-s.end
	return 0, os.ErrDeadlineExceeded
}

// A body that was read, or was given up, sets no deadline any more: the connection may serve another
// request by then.
func TestDropAfterTheBody(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("all of it"))
	p := httpio.NewPacedReader(w, r, time.Minute, time.Minute)
	if _, err := io.ReadAll(p); err != nil {
		t.Fatal(err)
	}
	if p.Drop(); !w.until.IsZero() {
		t.Errorf("after the end of the body: %s", w.until)
	}
	p = httpio.NewPacedReader(w, r, time.Minute, time.Minute)
	p.Stop()
	if p.Drop(); !w.until.IsZero() {
		t.Errorf("after the body was given up: %s", w.until)
	}
}
