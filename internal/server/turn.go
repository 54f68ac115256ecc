package server

import (
	"context"
	"runtime"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/shares"
)

// newTurns makes the turns of those who read logs. Few more than there are cores, because whatever
// else the server has to do, heartbeats too, gets a core only after all who have a turn; and half
// of them for one client while others wait.
func newTurns() *shares.Shares {
	all := int64(max(4, 2*runtime.NumCPU()))
	return shares.New(shares.Limits{All: all, Token: all / 2, Address: all / 2}, time.Now)
}

// turn is the right of a request to keep a core busy. Who waits, for a client, the store or other
// requests, pauses it meanwhile.
type turn struct {
	ctx   context.Context
	turns *shares.Shares

	mu    sync.Mutex
	place *shares.Place // nil without the right
}

type turnKey struct{}

// withTurn gives a request a turn, which it does not have yet.
func (s *Server) withTurn(ctx context.Context) (context.Context, *turn) {
	t := &turn{ctx: ctx, turns: s.turns}
	return context.WithValue(ctx, turnKey{}, t), t
}

// turnOf is the turn of a request; nil, which waits for nothing, without one.
func turnOf(ctx context.Context) *turn {
	t, _ := ctx.Value(turnKey{}).(*turn)
	return t
}

// take waits for the right, and returns without it only when the request has ended.
func (t *turn) take() {
	place, err := t.turns.EnterWait(t.ctx, access.CallerOf(t.ctx).Owner(), 1, nil)
	if err != nil {
		return // the request notices by itself that it has ended
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.place != nil { // two goroutines of one request
		place.Leave()
		return
	}
	t.place = place
}

// give gives the right back, and reports whether there was one.
func (t *turn) give() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	had := t.place != nil
	t.place.Leave()
	t.place = nil
	return had
}

// pause gives the right back until resume is called.
func (t *turn) pause() (resume func()) {
	if t == nil || !t.give() {
		return func() {}
	}
	return t.take
}
