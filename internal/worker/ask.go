package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/job"
)

const (
	// longWait is how long the server may hold a request for runs, and shortWait the same while
	// agents have no permit yet: their claims last as long as the worker names them.
	longWait  = 20 * time.Second
	shortWait = 5 * time.Second
	// The pauses after a request that failed, from the first to the longest, and after one that
	// the server refused for what it is.
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
	refusedPause = 10 * time.Second
	// earlyPause follows an answer without runs that the server did not hold.
	earlyPause = time.Second
	// releaseLimit bounds the tries to give a claim back: after it the claim has ended by itself.
	releaseLimit = 15 * time.Second
	// goodbyeLimit bounds the last request.
	goodbyeLimit = 2 * time.Second
)

// plan is what a worker asks for.
type plan struct {
	free int
	wait time.Duration
}

// planOf is the rule: nothing before the host's journals were delivered once, and nothing more
// for a worker that ends.
func planOf(slots, agents, starting int, ready, leaving bool) plan {
	p := plan{wait: longWait}
	if ready && !leaving {
		p.free = max(0, slots-agents)
	}
	if starting > 0 || !ready || leaving {
		p.wait = shortWait
	}
	return p
}

// request is the next request for runs.
func (w *Worker) request() job.ClaimRequest {
	starting, running := w.agents.report()
	p := planOf(w.cfg.Slots, len(w.agents.list), len(starting), w.ready, w.leaving)
	r := job.ClaimRequest{
		ClaimID: w.claimID, WorkerID: w.state.id, Host: w.cfg.Host, Version: w.cfg.Version,
		Specs: []int{job.SpecVersion}, Slots: w.cfg.Slots, Free: p.free,
		Labels: w.cfg.Labels, Allow: w.cfg.Trust.Allow, Commands: w.cfg.Trust.Commands,
		Starting: starting, Running: running, Leaving: w.leaving, WaitMS: p.wait.Milliseconds(),
	}
	r.FreeMemoryBytes, r.FreeCPUs = w.cfg.system.free()
	r.MemoryBytes = w.cfg.system.memory()
	return r
}

// ask sends a request for runs when one is due.
func (w *Worker) ask(ctx context.Context, now time.Time) {
	if w.asking != nil || now.Before(w.nextAsk) {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	w.asking = &asking{w.request(), now, cancel}
	r := w.asking.request
	go func() {
		reply, err := w.cfg.Server.Claim(ctx, w.cfg.Name, r)
		w.replies <- answer{w.cfg.clock(), reply, err}
	}()
}

// answered acts on the answer to a request for runs.
func (w *Worker) answered(a answer, now time.Time) {
	asked := w.asking
	asked.cancel()
	w.asking = nil
	switch {
	case errors.Is(a.err, context.Canceled): // by this worker, which asks for something else now
		w.nextAsk = now
	case a.err != nil:
		w.nextAsk = now.Add(w.pauseAfter(a.err))
	default:
		w.claimID, w.backoff, w.nextAsk, w.answers = uuid.NewString(), 0, now, true
		w.reportServer("", "")
		if len(a.reply.Claims) == 0 && 2*now.Sub(asked.begun).Milliseconds() < asked.request.WaitMS {
			w.nextAsk = now.Add(earlyPause)
		}
		w.drained(a.reply, now)
		for _, c := range a.reply.Claims {
			w.start(c, a.at+job.Milliseconds(c.LeftMS, 0, time.Hour), now)
		}
	}
}

// pauseAfter is how long to wait after a request that failed.
func (w *Worker) pauseAfter(err error) time.Duration {
	w.backoff = min(max(2*w.backoff, firstPause), longestPause)
	pause, kind, text := w.backoff, "outage", err.Error()
	var p *job.Problem
	if errors.As(err, &p) && p.FromStint() {
		kind = p.Type
		if !p.Temporary() && p.Status != http.StatusInternalServerError {
			pause = refusedPause
		}
		pause = max(pause, min(p.RetryAfter, longestPause))
		if p.Status == http.StatusNotFound {
			text = "this server gives no runs to workers: it needs a version of stint that has a queue (HTTP 404)"
		}
	}
	w.reportServer(kind, text)
	return pause + rand.N(pause/4)
}

// reportServer prints each kind of trouble with the server once, and that it is over: then kind is
// empty.
func (w *Worker) reportServer(kind, text string) {
	switch {
	case kind == w.trouble:
		return
	case kind == "":
		w.cfg.Print("the server answers again")
		w.nextFlush = time.Time{} // what could not be delivered meanwhile
	default:
		w.cfg.Print(text + "; the worker keeps asking, and its agents go on")
	}
	w.trouble = kind
}

// drained notes whether the server gives this worker no more runs.
func (w *Worker) drained(r job.ClaimReply, now time.Time) {
	if r.Draining != w.draining {
		if r.Draining != "" {
			w.cfg.Print("draining: " + r.Draining)
		} else {
			w.cfg.Print("resumed")
			w.stopped = false
		}
		w.draining = r.Draining
	}
	w.stopBy = time.Time{}
	if r.Draining != "" && r.StopBy != nil {
		w.stopBy = *r.StopBy
		if !r.Now.IsZero() { // by how much the server's clock differs does not matter then
			w.stopBy = now.Add(r.StopBy.Sub(r.Now))
		}
	}
}

// start starts the agent of a claim, or gives the claim back.
func (w *Worker) start(c job.Claim, until time.Duration, now time.Time) {
	if w.agents.has(c.Run, c.Attempt) {
		return // a reply that came twice
	}
	c, err := w.cfg.Trust.accept(c, dirExists)
	switch {
	case err != nil:
	case w.leaving:
		err = errors.New("the worker ends")
	default:
		err = w.agents.start(c, until, now)
	}
	if err != nil {
		w.giveBack(record{Claim: c.Claim, Run: c.Run, Attempt: c.Attempt, Job: c.Job}, err.Error())
	}
}

// giveBack gives a claim back, and prints why.
func (w *Worker) giveBack(r record, why string) {
	w.release(r.Claim, why)
	w.cfg.Print(fmt.Sprintf("%s, attempt %d of run %s, was given back: %s", r.Job, r.Attempt, r.Run, why))
}

// release gives a claim back, beside the rest, as often as it takes.
func (w *Worker) release(claim, reason string) {
	if claim == "" {
		return
	}
	w.releases.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
		defer cancel()
		for pause := firstPause; ; pause = min(2*pause, longestPause) {
			err := w.cfg.Server.ReleaseClaim(ctx, w.cfg.Name, claim, reason)
			var p *job.Problem
			if err == nil || errors.As(err, &p) && p.FromStint() && !p.Temporary() {
				return // given back, or it had ended
			}
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	})
}

// sayGoodbye reports that the worker ends. What the server had given to it meanwhile is given
// back.
func (w *Worker) sayGoodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeLimit)
	defer cancel()
	r := w.request()
	r.Free, r.Leaving, r.WaitMS = 0, true, 0
	reply, err := w.cfg.Server.Claim(ctx, w.cfg.Name, r)
	if err != nil {
		return // its claims end by themselves
	}
	for _, c := range reply.Claims {
		if !w.agents.has(c.Run, c.Attempt) {
			w.release(c.Claim, "the worker ends")
		}
	}
}
