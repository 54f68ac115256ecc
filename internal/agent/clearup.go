package agent

import (
	"context"
	"time"

	"stint.dev/stint/internal/agent/process/member"
)

const (
	// drainLimit bounds the reading of pipes that no process of the attempt holds any more.
	drainLimit = 5 * time.Second
	// heldLimit is the same for a step after which others follow, while what it left
	// behind still runs.
	heldLimit = 250 * time.Millisecond
)

// clearUp ends whatever still lives of the attempt: list it, ask it, kill it. A second call
// does nothing.
func (a *attempt) clearUp(ctx context.Context) {
	if a.cleared {
		return
	}
	a.cleared = true
	if a.stop.Abandoned() || a.group.IsEmpty() || a.emptied(ctx, leftOverAfter) {
		return
	}
	members, err := a.group.Members()
	if err == nil && len(members) == 0 {
		return
	}
	if a.cfg.KeepBackground && !a.stop.Begun() {
		a.keep(members)
		return
	}
	if err == nil && !a.stop.Begun() {
		a.rec.Note(a.current, member.LeftText(members))
	}
	a.stop.AskLeftOver()
	for !a.emptied(ctx, 0) {
		if a.stop.Abandoned() {
			return
		}
		a.stop.Kill()
	}
	a.stop.EndGrace()
}

// emptied waits until no process of the attempt lives: for a time, or, when it is 0, until
// the grace is over, or what lives is abandoned. It goes on acting on signals.
func (a *attempt) emptied(ctx context.Context, atMost time.Duration) bool {
	waitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	result := make(chan error, 1)
	go func() { result <- a.group.Empty(waitCtx) }()
	over := a.stop.GraceOver()
	if atMost > 0 {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		over = timer.C
	}
	defer cancel()
	for {
		if a.stop.Abandoned() {
			return false
		}
		select {
		case err := <-result:
			return err == nil
		case e := <-a.cfg.events.Events():
			a.act(e)
		case cause := <-a.stopRequests:
			a.stop.BeginFinal(cause, 0)
		case <-over:
			cancel()
			return <-result == nil
		}
	}
}

// drainStep lets the pipes of a step run dry. What the step left behind may go on
// printing: its pipes stay open until the attempt ends.
func (a *attempt) drainStep(s step) {
	limit := drainLimit
	if members, err := a.group.Members(); err == nil && len(members) > 0 {
		limit = heldLimit
	}
	a.streams.DrainStep(s.index, limit)
}

// drainAll reads every pipe to its end, but not longer than a limit.
func (a *attempt) drainAll() {
	limit := drainLimit
	if a.left || a.stop.Abandoned() {
		limit = heldLimit
	}
	a.streams.DrainAll(limit, a.holder())
}

// endOutput reads every pipe to its end, and takes what the job has last reported of its
// progress.
func (a *attempt) endOutput() {
	a.drainAll()
	a.progress.Close()
}

// keep leaves what the command left behind, as the caller chose: it is listed,
// not signalled, and from here on nothing of the agent ends it.
func (a *attempt) keep(members []member.Member) {
	a.left = true
	text := "left running on purpose: " + member.LeftText(members)
	if a.group.LetLive() {
		text += "; they end with the agent, because it is the init of its container"
	}
	a.rec.Note(a.current, text)
}

// holder names, for people, what may still hold a stream open when its time is over.
func (a *attempt) holder() string {
	switch {
	case a.left:
		return "what was left running"
	case a.stop.Abandoned():
		return "what could not be stopped"
	}
	return "a process outside of the run"
}
