package httpio

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/shares"
)

// A request that waits for a client, the store or an answer that is read for several has no turn meanwhile,
// so that nobody who has one waits for somebody who wants one.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := shares.New(shares.Limits{All: 2, Token: 1, Address: 1}, time.Now)
		as := func(token string) (context.Context, *Turn) {
			return WithTurn(access.WithCaller(t.Context(), access.Caller{Token: token}), turns)
		}
		var computing, most atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for range 10 {
			all.Go(func() {
				ctx, mine := as("many")
				mine.Take()
				defer mine.Release()
				most.Store(max(most.Load(), computing.Add(1)))
				<-time.After(time.Second)
				computing.Add(-1)
				resume := TurnOf(ctx).Pause()
				nested := TurnOf(ctx).Pause() // has nothing to give, and takes nothing back
				<-time.After(time.Minute)
				nested()
				resume()
			})
		}
		synctest.Wait()
		_, other := as("other")
		if other.Take(); time.Since(began) != 0 {
			t.Errorf("another client waited %s", time.Since(began))
		}
		other.Release()
		all.Wait()
		if took := time.Since(began); most.Load() != 1 || took < 70*time.Second || took > 71*time.Second {
			t.Errorf("%d of one client at once, all done after %s", most.Load(), took)
		}
		if turns.Used() != 0 {
			t.Errorf("%d turns are not given back", turns.Used())
		}
	})
}

// A request that ends while it waits has no turn, and gives none back.
func TestTurnOfARequestThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := shares.New(shares.Limits{All: 1, Token: 1, Address: 1}, time.Now)
		_, first := WithTurn(t.Context(), turns)
		first.Take()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, second := WithTurn(ctx, turns)
		second.Take()
		if second.Release() || turns.Used() != 1 {
			t.Error("there is a turn for a request that has ended")
		}
		first.Release()
		if turns.Used() != 0 || TurnOf(t.Context()).Pause() == nil {
			t.Error("a turn is not given back")
		}
	})
}
