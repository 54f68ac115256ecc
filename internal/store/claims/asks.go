package claims

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/job"
)

const (
	// mostTogether is the most requests that one transaction answers.
	mostTogether = 64
	// answerTimeout limits the time in which requests are answered together. It does not end with one of them.
	answerTimeout = 30 * time.Second
)

// asks are requests of workers that wait for their answer. One transaction at a time answers all that have arrived during
// the one before: two would wait for the same lock, and each would keep a connection from what else is stored.
type asks struct {
	turn chan struct{} // holds an element while one of the requests answers

	mu      sync.Mutex
	waiting []*ask // the one that arrived first comes first
}

// ask is the request of a worker.
type ask struct {
	worker string
	r      job.ClaimRequest

	reply job.ClaimReply
	err   error
	done  chan struct{} // closed when it is answered
}

var errNotAnswered = errors.New("the transaction that was to answer it has failed")

func newAsks() *asks { return &asks{turn: make(chan struct{}, 1)} }

// answer waits for the answer to a request. One of the requests that wait calls together for all of them.
func (a *asks) answer(ctx context.Context, worker string, r job.ClaimRequest, together func(context.Context, []*ask)) (job.ClaimReply, error) {
	one := &ask{worker: worker, r: r, err: errNotAnswered, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, one)
	a.mu.Unlock()
	for {
		select {
		case <-one.done:
			return one.reply, one.err
		case a.turn <- struct{}{}:
			a.lead(ctx, together)
		case <-ctx.Done():
			if a.remove(one) {
				return job.ClaimReply{}, ctx.Err()
			}
			<-one.done
			return one.reply, one.err
		}
	}
}

// lead answers the requests that wait, in the turn of the caller.
func (a *asks) lead(ctx context.Context, together func(context.Context, []*ask)) {
	group := a.take()
	defer func() {
		<-a.turn
		for _, one := range group {
			close(one.done)
		}
	}()
	if len(group) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	together(ctx, group)
}

// take removes and returns the first requests that wait, one of each worker.
func (a *asks) take() (group []*ask) {
	a.mu.Lock()
	defer a.mu.Unlock()
	workers := map[string]bool{}
	a.waiting = slices.DeleteFunc(a.waiting, func(one *ask) bool {
		if len(group) == mostTogether || workers[one.worker] {
			return false
		}
		workers[one.worker] = true
		group = append(group, one)
		return true
	})
	return group
}

// remove removes a request that has not been answered. It reports whether it did.
func (a *asks) remove(one *ask) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.waiting)
	a.waiting = slices.DeleteFunc(a.waiting, func(other *ask) bool { return other == one })
	return len(a.waiting) < before
}
