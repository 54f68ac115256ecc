package faulttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

const (
	// mostWaiting is how many runs of TestKills have been submitted and have not ended, at most.
	mostWaiting = 40
	// killCopies is how many definitions of each kind there are: a worker that is killed with its claims is not
	// offered their definition for a while.
	killCopies = 12
	// shortKills is how long the short form lasts.
	shortKills = 5 * time.Second
)

// Servers and workers are killed at random, in the middle of whatever they do, while runs are submitted: no attempt
// starts twice, and every run ends.
func TestKills(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			if *killFor > 0 {
				t.Parallel() // the programs wait for each other more than they work
			}
			playKills(t, engine == "PostgreSQL", max(*killFor, shortKills))
		})
	}
}

func playKills(t *testing.T, postgres bool, long time.Duration) {
	w := newKillWorld(t, queuePlan{
		workers: []workerPlan{{slots: 3}, {slots: 2}, {slots: 3, stint: true}}, limit: 2, second: postgres, copies: killCopies, plain: *killFor > 0,
	}, postgres)
	w.prepare()
	w.began = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	kills := 0
	all.Go(func() { w.keepSubmitting(ctx) })
	all.Go(func() { kills = w.keepKilling(ctx, w.anyProcess) })
	all.Wait()
	w.heal()
	w.waitAllEnded()
	w.verifyQueue()
	if *killFor > 0 {
		fmt.Printf("kills: ended %s after the last kill\n", time.Since(w.began.Add(long)).Round(time.Second))
	}
	fmt.Printf("kills: %s, %s: %d kills, %s\n", engineName(postgres), long, kills, w.summary())
}

// newKillWorld starts a server on a database, in a world of which everything may be killed.
func newKillWorld(t *testing.T, plan queuePlan, postgres bool) *queueWorld {
	t.Helper()
	sl := newSlot()
	if postgres {
		if _, err := sl.postgres(); errors.Is(err, postgrestest.ErrMissing) {
			needed(t, "PostgreSQL")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	s := schedule{seed: uint64(time.Now().UnixNano()), postgres: postgres, route: direct, faults: []fault{{kind: allKill}}, queue: &plan}
	w := &queueWorld{world: newWorld(t, s, sl), byID: map[string]*submittedRun{}}
	w.queue = w
	return w
}

func engineName(postgres bool) string {
	if postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}

// keepSubmitting submits runs, not more than mostWaiting at a time.
func (w *queueWorld) keepSubmitting(ctx context.Context) {
	r := rand.New(rand.NewPCG(w.s.seed, 1))
	waiting := map[*submittedRun]bool{}
	for ctx.Err() == nil {
		for one := range waiting {
			if run, err := w.api.Run(ctx, one.id); err == nil && run.State.Terminal() {
				delete(waiting, one)
			}
		}
		for len(waiting) < mostWaiting && ctx.Err() == nil {
			plan := planRun(r, 0)
			plan.at, plan.copy = 0, r.IntN(killCopies)
			one := w.add(plan)
			w.submit(one)
			waiting[one] = true
		}
		wait(ctx, 300*ms)
	}
}

// mortal is a process that is killed and started again.
type mortal interface {
	kill()
	up() error
}

// anyProcess returns a server or a worker.
func (w *queueWorld) anyProcess(r *rand.Rand) mortal {
	switch n := r.IntN(6); {
	case n < 2:
		return w.server
	case n == 2 && w.second != nil:
		return w.second
	default:
		return w.workers[n%len(w.workers)]
	}
}

// keepKilling kills one process after the other, starts each again, and returns how often.
func (w *queueWorld) keepKilling(ctx context.Context, next func(*rand.Rand) mortal) (kills int) {
	r := rand.New(rand.NewPCG(w.s.seed, 2))
	for ctx.Err() == nil {
		wait(ctx, time.Duration(r.IntN(1500))*ms)
		kills++
		p := next(r)
		p.kill()
		wait(ctx, time.Duration(r.IntN(1200))*ms)
		if err := p.up(); err != nil {
			w.t.Error(err)
		}
	}
	return kills
}

// summary says what became of the runs.
func (w *queueWorld) summary() string {
	states, attempts := map[job.State]int{}, 0
	for _, r := range w.runs {
		run, err := w.api.Run(context.Background(), r.id)
		if err != nil {
			w.t.Error(err)
		}
		states[run.State]++
		attempts += run.Attempt
	}
	return fmt.Sprintf("%d runs in %d attempts: %v", len(w.runs), attempts, states)
}
