package faulttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
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
	sl := newSlot()
	if postgres {
		if _, err := sl.postgres(); errors.Is(err, postgrestest.ErrMissing) {
			needed(t, "PostgreSQL")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	s := schedule{seed: uint64(time.Now().UnixNano()), postgres: postgres, route: direct, faults: []fault{{kind: allKill}}}
	s.queue = &queuePlan{workers: []workerPlan{{slots: 3}, {slots: 2}, {slots: 3, stint: true}}, limit: 2, second: postgres, copies: killCopies, plain: *killFor > 0}
	w := &queueWorld{world: newWorld(t, s, sl), byID: map[string]*submittedRun{}}
	w.queue = w
	w.prepare()
	w.began = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	kills := 0
	all.Go(func() { w.keepSubmitting(ctx) })
	all.Go(func() { kills = w.keepKilling(ctx) })
	all.Wait()
	w.heal()
	w.waitAllEnded()
	w.verifyQueue()
	if *killFor > 0 {
		fmt.Printf("kills: ended %s after the last kill\n", time.Since(w.began.Add(long)).Round(time.Second))
	}
	fmt.Printf("kills: %s, %s: %d kills, %s\n", map[bool]string{true: "PostgreSQL", false: "SQLite"}[postgres], long, kills, w.summary())
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

// keepKilling kills servers and workers, starts them again, and returns how often.
func (w *queueWorld) keepKilling(ctx context.Context) (kills int) {
	r := rand.New(rand.NewPCG(w.s.seed, 2))
	for ctx.Err() == nil {
		wait(ctx, time.Duration(r.IntN(1500))*ms)
		kills++
		away := time.Duration(r.IntN(1200)) * ms
		var err error
		switch n := r.IntN(6); {
		case n < 2:
			_, err = w.server.down(syscall.SIGKILL)
			wait(ctx, away)
			err = errors.Join(err, w.server.up())
		case n == 2 && w.second != nil:
			_, err = w.second.down(syscall.SIGKILL)
			wait(ctx, away)
			err = errors.Join(err, w.second.up())
		default:
			p := w.workers[n%len(w.workers)]
			p.kill()
			wait(ctx, away)
			err = p.up()
		}
		if err != nil {
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
