package httpio

import (
	"context"
	"runtime"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/shares"
)

// NewTurns makes the turns of those who read logs. Few more than there are cores, because whatever
// else the server has to do, heartbeats too, gets a core only after all who have a turn; and half
// of them for one client while others wait.
func NewTurns() *shares.Shares {
	all := int64(max(4, 2*runtime.NumCPU()))
	return shares.New(shares.Limits{All: all, Token: all / 2, Address: all / 2}, time.Now)
}

// Turn is the right of a request to keep a core busy. Who waits, for a client, the store or other
// requests, pauses it meanwhile.
type Turn struct {
	ctx   context.Context
	turns *shares.Shares

	mu    sync.Mutex
	place *shares.Place // nil without the right
}

type turnKey struct{}

// WithTurn gives a request a turn, which it does not have yet.
func WithTurn(ctx context.Context, turns *shares.Shares) (context.Context, *Turn) {
	t := &Turn{ctx: ctx, turns: turns}
	return context.WithValue(ctx, turnKey{}, t), t
}

// TurnOf is the turn of a request; nil, which waits for nothing, without one.
func TurnOf(ctx context.Context) *Turn {
	t, _ := ctx.Value(turnKey{}).(*Turn)
	return t
}

// Take waits for the right, and returns without it only when the request has ended.
func (t *Turn) Take() {
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

// Give gives the right back, and reports whether there was one.
func (t *Turn) Give() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	had := t.place != nil
	t.place.Leave()
	t.place = nil
	return had
}

// Pause gives the right back until resume is called.
func (t *Turn) Pause() (resume func()) {
	if t == nil || !t.Give() {
		return func() {}
	}
	return t.Take
}
