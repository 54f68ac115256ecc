package agent

import (
	"context"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/diagnose"
	"stint.dev/stint/job"
)

const (
	// diagnoseLimit bounds the look at what a job does that is about to be stopped, and
	// hungLimit the wait for it, should a file of the kernel not answer.
	diagnoseLimit = time.Second
	hungLimit     = 1500 * time.Millisecond
	// quitPause is what the job gets to print the dump that SIGQUIT asks for.
	quitPause = time.Second
)

// explain writes into the journal, before a stop for a limit, what the job's processes are
// doing; with QuitFirst it asks them to say so themselves. It takes 0.2 s, at the most
// hungLimit, and quitPause.
func (a *attempt) explain(cause job.StopCause) {
	switch cause.Reason {
	case job.Timeout, job.InstallTimeout, job.NoOutput, job.NoProgress:
	default:
		return // a person or the server wants it to end: no riddle
	}
	ctx, cancel := context.WithTimeout(context.Background(), diagnoseLimit)
	defer cancel()
	found := make(chan []string, 1)
	go func() { found <- diagnose.Notes(ctx, a.group.Members) }() // ends soon after ctx
	hung := time.NewTimer(hungLimit)
	defer hung.Stop()
	select {
	case notes := <-found:
		for _, text := range notes {
			a.rec.Note(a.current, text)
		}
	case <-hung.C:
		a.rec.Note(a.current, "no diagnosis before the stop: the kernel did not answer in time")
	}
	if a.cfg.QuitFirst {
		a.quit()
	}
}

// quit sends SIGQUIT to the tree, for runtimes that print their stacks then (Go, Java, with
// faulthandler Python), and waits a little for what they print. Others end of it.
func (a *attempt) quit() {
	if err := a.group.Signal(syscall.SIGQUIT); err != nil {
		a.rec.Note(a.current, "SIGQUIT did not reach every process: "+err.Error())
	}
	ctx, cancel := context.WithTimeout(context.Background(), quitPause)
	defer cancel()
	_ = a.group.Empty(ctx) // who is left gets the stop signal
}
