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

// clearUp ends the processes of the attempt that still live: it lists them, sends them the stop
// signal, and kills them. A second call does nothing.
func (a *attempt) clearUp(ctx context.Context) {
	if a.clearedUp {
		return
	}
	a.clearedUp = true
	if a.stop.Abandoned() || a.group.IsEmpty() || a.waitUntilEmpty(ctx, leftOverAfter) {
		return
	}
	members, err := a.group.Members()
	if err == nil && len(members) == 0 {
		return
	}
	if a.cfg.KeepBackground && !a.stop.Begun() {
		a.leaveRunning(members)
		return
	}
	if err == nil && !a.stop.Begun() {
		a.rec.Note(a.current, member.LeftText(members)+"; the agent ends what is left")
	}
	a.stop.AskLeftOver()
	for !a.waitUntilEmpty(ctx, 0) {
		if a.stop.Abandoned() {
			return
		}
		a.stop.Kill()
	}
	a.stop.EndGrace()
}

// waitUntilEmpty waits until no process of the attempt lives, and reports whether that is so. It
// waits for atMost, or, when that is 0, until the grace is over or the processes are abandoned.
// Meanwhile it acts on signals.
func (a *attempt) waitUntilEmpty(ctx context.Context, atMost time.Duration) bool {
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

// drainStep reads the pipes of a step until they are empty. Processes that the step left behind
// may go on printing: its pipes stay open until the attempt ends.
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
	if a.leftRunning || a.stop.Abandoned() {
		limit = heldLimit
	}
	a.streams.DrainAll(limit, a.holderText())
}

// endOutput reads every pipe to its end, and takes what the job has last reported of its
// progress.
func (a *attempt) endOutput() {
	a.drainAll()
	a.progress.Close()
}

// leaveRunning lists the processes that the command left behind and does not signal them, as the
// caller chose. From here on nothing of the agent ends them.
func (a *attempt) leaveRunning(members []member.Member) {
	a.leftRunning = true
	text := "left running on purpose: " + member.LeftText(members)
	if a.group.LetLive() {
		text += "; they end with the agent, because it is the init of its container"
	}
	a.rec.Note(a.current, text)
}

// holderText names, in messages, what may still hold a stream open when its time is over.
func (a *attempt) holderText() string {
	switch {
	case a.leftRunning:
		return "what was left running"
	case a.stop.Abandoned():
		return "what could not be stopped"
	}
	return "a process outside of the run"
}
