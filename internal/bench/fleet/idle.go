package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"stint.dev/stint/job"
)

// Waiting are workers that ask for runs again and again.
type Waiting struct {
	host        string
	workers     []*Worker
	assignments chan assignment
	leaving     chan struct{}
	all         sync.WaitGroup
}

// assignment is the reply to a request for runs: at least one claim, or an error.
type assignment struct {
	to     *Worker
	claims []job.Claim
	err    error
	at     time.Time
}

// Wait has n workers ask for runs. It returns when all have asked. Leave must be called.
func Wait(host string, n int) (*Waiting, error) {
	all := &Waiting{host: host, assignments: make(chan assignment, n), leaving: make(chan struct{})}
	for i := range n {
		w, err := NewWorker(host, fmt.Sprintf("waits-%d-%d", n, i), 4)
		if err != nil {
			all.Leave()
			return nil, err
		}
		w.wait = time.Minute // the longest: none asks again while the server is measured
		all.workers = append(all.workers, w)
		all.all.Go(func() { all.ask(w) })
		<-time.After(time.Millisecond)
	}
	return all, nil
}

// ask requests runs until the workers leave or a request fails.
func (all *Waiting) ask(w *Worker) {
	for {
		claims, err := w.Claim(4)
		at := time.Now()
		select {
		case <-all.leaving:
			return
		default:
		}
		if err != nil || len(claims) > 0 {
			all.assignments <- assignment{w, claims, err, at}
		}
		if err != nil {
			return
		}
	}
}

// Leave ends the workers. Their claims end by themselves.
func (all *Waiting) Leave() {
	close(all.leaving)
	for _, w := range all.workers {
		w.Close() // its request ends with an error
	}
	all.all.Wait()
}

// Submit submits n commands, one after the other, and returns how many ms passed until one of the workers had each. Then
// each starts and ends. Nobody else may use the queue.
func (all *Waiting) Submit(n int) (ms []float64, err error) {
	wire, err := Dial(all.host)
	if err != nil {
		return nil, err
	}
	defer wire.Close()
	for i := range n {
		<-time.After(20 * time.Millisecond) // the requests are held then
		begun := time.Now()
		if err := wire.Submit(RunID(begun, i), job.SubmitRequest{Job: "idle", Command: &job.Spec{Args: []string{"true"}}}); err != nil {
			return nil, err
		}
		g := <-all.assignments
		if g.err == nil && len(g.claims) != 1 {
			g.err = fmt.Errorf("a worker got %d runs: %w", len(g.claims), errIncomplete)
		}
		if g.err != nil {
			return nil, g.err
		}
		ms = append(ms, float64(g.at.Sub(begun).Microseconds())/1e3)
		if err := g.to.Attempt(g.claims[0]); err != nil {
			return nil, err
		}
	}
	return ms, nil
}

// Beats sends heartbeats of runs for a time, one run's every period, and returns how many ms each took. A wire has
// the heartbeats of the run whose path has the same index.
func Beats(wires []*Wire, paths []string, span, period time.Duration) (ms []float64, err error) {
	type result struct {
		ms  []float64
		err error
	}
	results := make(chan result, len(wires))
	end := time.Now().Add(span)
	for i, w := range wires {
		go func() {
			var r result
			for n := 2; r.err == nil; n++ {
				<-time.After(period/2 + rand.N(period))
				begun := time.Now()
				if begun.After(end) {
					break
				}
				_, r.err = w.Post(paths[i]+"/heartbeat", "application/json", Heartbeat(n, time.Minute))
				r.ms = append(r.ms, float64(time.Since(begun).Microseconds())/1e3)
			}
			results <- r
		}()
	}
	for range wires {
		r := <-results
		ms, err = append(ms, r.ms...), errors.Join(err, r.err)
	}
	return ms, err
}
