package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

// asked is a store in which questions about tokens and owners wait for an answer.
type asked struct {
	*store.Store
	questions chan chan struct{} // each is answered when its channel is closed; nil: at once
}

func (a *asked) wait() {
	if a.questions != nil {
		answer := make(chan struct{})
		a.questions <- answer
		<-answer
	}
}

func (a *asked) TokenByHash(ctx context.Context, hash []byte) (access.Token, error) {
	a.wait()
	return a.Store.TokenByHash(ctx, hash)
}

func (a *asked) AssignOwner(ctx context.Context, run, token string, at time.Time) (string, error) {
	a.wait()
	return a.Store.AssignOwner(ctx, run, token, at)
}

// While the database is asked who sends a heartbeat or an append, and whose run it is, the agent is
// known to live. One that is refused counts no longer.
func TestRequestsThatWaitForTheDatabase(t *testing.T) {
	st := openStore(t, t.TempDir())
	store, clock := &asked{Store: st}, newClock()
	l := start(t, server.Config{Store: store, Now: clock.now, RequireToken: true})
	l.store = st
	mine := []string{"Authorization", "Bearer " + l.mint(access.Agent, time.Time{}, clock.now())}
	s := newSketch(t, "j", nil).command()
	store.questions = make(chan chan struct{})
	for _, c := range []struct {
		path      string
		body      []byte
		token     []string
		questions int
		status    int
	}{
		{journalPath(s.id, 1, 0), s.bytes(), mine, 2, http.StatusOK},
		{beatPath(s.id, 1), []byte(`{"period_ms":1000}`), []string{"Authorization", "Bearer " + l.mint(access.Agent, time.Time{}, clock.now())}, 2, http.StatusForbidden},
		{beatPath(s.id, 1), []byte(`{"period_ms":1000}`), []string{"Authorization", "Bearer stint_" + strings.Repeat("0", 43)}, 1, http.StatusUnauthorized},
	} {
		answered := make(chan int, 1)
		go func() { answered <- l.do("POST", c.path, c.body, c.token...).status }()
		n, status := 0, 0
		for status == 0 {
			select {
			case answer := <-store.questions:
				if n++; !l.srv.Arrived(s.id, 1).Equal(clock.now()) {
					t.Errorf("%s: during question %d the agent was last known to live at %s", c.path, n, l.srv.Arrived(s.id, 1))
				}
				close(answer)
			case status = <-answered:
			}
		}
		if n != c.questions || status != c.status || !l.srv.Arrived(s.id, 1).IsZero() {
			t.Errorf("%s: %d questions, HTTP %d, and afterwards it is known to live at %s", c.path, n, status, l.srv.Arrived(s.id, 1))
		}
	}
}
