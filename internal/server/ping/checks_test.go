package ping

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/server/httpio"
)

// hanging is a store that finds a job, and otherwise answers when nobody waits any more.
type hanging struct {
	Store
	ended  chan struct{} // closed when a call has been given up
	finds  bool
	locked int
}

func (h *hanging) TargetByUUID(ctx context.Context, _ string) (t due.Target, ok bool, err error) {
	if !h.finds {
		<-ctx.Done()
		return t, false, ctx.Err()
	}
	t.Job = "backup"
	t.Rule, err = due.Parse(due.Created())
	return t, true, err
}

func (h *hanging) LockJob(ctx context.Context, _ string) (func(), error) {
	h.locked++
	defer close(h.ended)
	<-ctx.Done()
	return nil, ctx.Err()
}

// someone pings.
var someone = access.Caller{Via: access.ViaNone, Address: "192.0.2.1/32"}

func newPing(st Store) *Ping {
	return New(Config{
		ErrorWriter: httpio.ErrorWriter{Log: slog.New(slog.DiscardHandler)}, Store: st, Now: time.Now,
		Caller:           func(*http.Request, string) (access.Caller, error) { return someone, nil },
		BodyStallTimeout: time.Minute, BodyTimeout: time.Minute,
	})
}

func send(s *Ping, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), "POST", "/ping/x", body)
	r.SetPathValue("uuid", "07c2f548-9850-4b27-af5d-6c9dc157ec02")
	w := httptest.NewRecorder()
	s.PingUUID(w, r)
	return w
}

// A database that does not answer is no reason to keep a client waiting, and nothing goes on for ever.
func TestAHangingDatabase(t *testing.T) {
	for name, finds := range map[string]bool{"nothing is found": false, "nothing is stored": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hanging{ended: make(chan struct{}), finds: finds}
				s := newPing(h)
				began := time.Now()
				w := send(s, strings.NewReader("output"))
				if took := time.Since(began); took >= 5*time.Second || w.Code != 503 || w.Header().Get("Retry-After") == "" {
					t.Errorf("%d %s after %s, %v", w.Code, w.Body, took, w.Header())
				}
				if finds {
					<-h.ended
				}
				s.Wait()
				if n := s.bodies.Used(); n != 0 {
					t.Errorf("%d bytes of bodies are still counted", n)
				}
			})
		})
	}
}

// What did not arrive whole is no ping.
func TestABodyThatIsCutOff(t *testing.T) {
	h := &hanging{ended: make(chan struct{}), finds: true}
	s := newPing(h)
	w := send(s, io.MultiReader(strings.NewReader("half of"), iotest.ErrReader(errors.New("connection reset"))))
	if w.Code != http.StatusBadRequest || h.locked != 0 || s.bodies.Used() != 0 {
		t.Errorf("%d %s, stored %d times, %d bytes", w.Code, w.Body, h.locked, s.bodies.Used())
	}
}

// Bodies share a bounded memory: who finds none left tries again.
func TestTooManyBodies(t *testing.T) {
	s := newPing(&hanging{finds: true})
	place, err := s.bodies.Enter(someone.Owner(), bodyMemory/2, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer place.Leave()
	place.Protect(true)
	if w := send(s, strings.NewReader("x")); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
