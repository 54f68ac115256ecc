package httpio

import (
	"context"
	"runtime"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/shares"
)

// NewTurns returns the turns for requests that read logs. There are few more than cores, because
// everything else in the server, also heartbeats, waits for a core while such requests run. One client
// may have half of the turns while others wait.
func NewTurns() *shares.Shares {
	all := int64(max(4, 2*runtime.NumCPU()))
	return shares.New(shares.Limits{All: all, Token: all / 2, Address: all / 2}, time.Now)
}

// Turn is the right of a request to use a core. The request pauses it while it waits for the client, the
// store or other requests.
type Turn struct {
	ctx   context.Context
	turns *shares.Shares

	mu    sync.Mutex
	place *shares.Place // nil without the right
}

type turnKey struct{}

// WithTurn returns a context with a Turn for a request, which has to Take it.
func WithTurn(ctx context.Context, turns *shares.Shares) (context.Context, *Turn) {
	t := &Turn{ctx: ctx, turns: turns}
	return context.WithValue(ctx, turnKey{}, t), t
}

// TurnOf returns the turn of a request; nil, on which Pause does nothing, if it has none.
func TurnOf(ctx context.Context) *Turn {
	t, _ := ctx.Value(turnKey{}).(*Turn)
	return t
}

// Take waits for the right. It returns without it only when the request has ended.
func (t *Turn) Take() {
	place, err := t.turns.EnterWait(t.ctx, access.CallerOf(t.ctx).Owner(), 1, nil)
	if err != nil {
		return // the caller detects the end of the request by its context
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.place != nil { // another goroutine of the request has taken it
		place.Leave()
		return
	}
	t.place = place
}

// Release releases the right, and reports whether the request had it.
func (t *Turn) Release() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	had := t.place != nil
	t.place.Leave()
	t.place = nil
	return had
}

// Pause releases the right until resume is called.
func (t *Turn) Pause() (resume func()) {
	if t == nil || !t.Release() {
		return func() {}
	}
	return t.Take
}
