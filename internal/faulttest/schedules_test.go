package faulttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
)

// After any schedule of faults: every byte exactly once and in order, or in a gap of exactly
// its place and size; the true outcome; no process and no file left.
func TestSchedules(t *testing.T) {
	seed := *firstSeed
	if seed == 0 {
		seed = uint64(time.Now().Unix()) * 1_000_000
	}
	step := uint64(1)
	if *queueOnly {
		step, seed = 3, (seed+2)/3*3
	}
	can, without := able()
	can.clock = *withClock
	first := newSlot()
	if _, err := first.postgres(); errors.Is(err, postgrestest.ErrMissing) {
		without = append(without, "no PostgreSQL: "+err.Error())
	} else if err != nil {
		t.Fatal(err)
	} else {
		can.postgres = true
	}
	for _, why := range without {
		t.Log(why)
	}
	fmt.Printf("faults: %d schedules from seed %d, %d side by side, %+v\n", *schedules, seed, *sideBySide, can)
	var next atomic.Int64
	tally.begun = time.Now()
	var workers sync.WaitGroup
	for n := range *sideBySide {
		sl := first
		if n > 0 {
			sl = newSlot()
		}
		workers.Go(func() {
			for i := next.Add(1); i <= int64(*schedules); i = next.Add(1) {
				seed, ok := seed+step*uint64(i-1), false
				if withQueue(seed) {
					s := generateQueue(seed, can)
					ok = t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) { playQueue(t, s, sl) })
				} else {
					s := generate(seed, can)
					ok = t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) { tally.compared.Add(playSchedule(t, s, sl)) })
				}
				if !ok {
					tally.failed.Add(1)
				}
				if n := tally.played.Add(1); n%50 == 0 {
					fmt.Println("faults:", tallyString())
				}
			}
		})
	}
	workers.Wait()
	fmt.Printf("faults: from seed %d, %s\nfaults: %s\n", seed, tallyString(), tallyKinds())
}

// tally counts over all schedules, so that it can be seen what they came to.
var tally struct {
	begun                                                      time.Time
	played, failed, compared, lost, healed, gaps, read, judged atomic.Int64
	made                                                       sync.Map // kind → *atomic.Int64

	// Of the schedules with a queue: runs that were submitted, attempts that started, and those that were
	// called lost while another one followed.
	submitted, started, retried atomic.Int64
}

func tallyString() string {
	queued := fmt.Sprintf("%d runs were submitted, %d attempts started, %d of them again after a loss", tally.submitted.Load(), tally.started.Load(), tally.retried.Load())
	return fmt.Sprintf("%d schedules played, %d failed, %d bytes compared (%d of them read live); %d runs were lost with their agents, %d called lost and found alive, %d had gaps, %d agents beside were killed and lost in time; %s; %s",
		tally.played.Load(), tally.failed.Load(), tally.compared.Load(), tally.read.Load(), tally.lost.Load(), tally.healed.Load(), tally.gaps.Load(), tally.judged.Load(),
		queued, time.Since(tally.begun).Round(time.Second))
}

// tallyKinds says how often each kind of fault was made.
func tallyKinds() string {
	var out []string
	named := map[kind]bool{}
	for _, r := range slices.Concat(rules, queueRules, []rule{{kind: restoredCopy}}) {
		if n, ok := tally.made.Load(r.kind); ok && !named[r.kind] {
			named[r.kind] = true
			out = append(out, fmt.Sprintf("%s %d", r.kind, n.(*atomic.Int64).Load()))
		}
	}
	return strings.Join(out, ", ")
}

// slow schedules are reported: all faults are over after some seconds.
const slow = 20 * time.Second

func playSchedule(t *testing.T, s schedule, sl *slot) int64 {
	w := newWorld(t, s, sl)
	w.prepareBeside()
	w.start()
	w.follow()
	w.play()
	// All is well again: processes that live go on by themselves.
	w.server.wantUp()
	select {
	case <-w.exited:
	case <-time.After(patience):
		t.Fatalf("the agent has not ended %s after all was well", patience)
	}
	w.record("the agent has ended: %v", w.agent.ProcessState)
	w.flushAll()
	if w.meddler != nil {
		w.meddler.late.Wait() // what arrives too late must change nothing
	}
	w.waitEnded()
	compared := w.verify()
	w.checkBeside()
	w.checkNothingLeft()
	if took := time.Since(w.began); took > slow {
		fmt.Printf("faults: slow, %s: %s\n%s\n", took.Round(ms), s, strings.Join(w.story, "\n"))
	}
	return compared
}

// flushAll delivers what the agent left. A process that the agent was just starting when it
// was killed may hold the journal's lock for a moment longer than the agent lived: then it
// is left alone, and the next flush takes it.
func (w *world) flushAll() {
	for deadline := time.Now().Add(patience); ; <-time.After(200 * ms) {
		err := w.flush()
		if len(w.spooled()) == 0 && err == nil {
			return
		}
		if err != nil || time.Now().After(deadline) {
			w.t.Errorf("flush: %v, left: %v", err, w.spooled())
			return
		}
	}
}

// waitEnded waits until the server has seen the end of the run, if it knows it.
func (w *world) waitEnded() {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * ms) {
		r, err := w.api.Run(context.Background(), w.run)
		if err != nil || r.State.Terminal() {
			return
		}
	}
}
