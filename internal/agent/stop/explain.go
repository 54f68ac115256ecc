package stop

import (
	"context"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/diagnose"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// diagnoseTimeout bounds the diagnosis of a job that is about to be stopped, and
	// diagnoseLimit the wait for it, should a file of the kernel not answer.
	diagnoseTimeout = time.Second
	diagnoseLimit   = 1500 * time.Millisecond
	// quitLimit bounds the time that the job gets to print the dump that SIGQUIT asks for.
	quitLimit = time.Second
)

// explain writes into the journal, before a stop for a limit, what the job's processes are
// doing; with QuitFirst it asks them to say so themselves. It takes 0.2 s, at the most
// diagnoseLimit, and quitLimit.
func (s *Stop) explain(cause job.StopCause) {
	switch cause.Reason {
	case job.Timeout, job.InstallTimeout, job.NoOutput, job.NoProgress:
	default:
		return // a person or the server requested it: nothing to explain
	}
	ctx, cancel := context.WithTimeout(context.Background(), diagnoseTimeout)
	defer cancel()
	found := make(chan []journal.Note, 1)
	go func() { found <- diagnose.Notes(ctx, s.cfg.Group.Members) }() // ends soon after ctx
	hung := time.NewTimer(diagnoseLimit)
	defer hung.Stop()
	select {
	case notes := <-found:
		for _, note := range notes {
			s.cfg.Processes(note)
		}
	case <-hung.C:
		s.cfg.Note("no diagnosis before the stop: the kernel did not answer in time")
	}
	if s.cfg.QuitFirst {
		s.quit()
	}
}

// quit sends SIGQUIT to the tree, for runtimes that print their stacks then (Go, Java, with
// faulthandler Python), and waits a little for what they print. Others end of it.
func (s *Stop) quit() {
	if err := s.cfg.Group.Signal(syscall.SIGQUIT); err != nil {
		s.cfg.Note("SIGQUIT did not reach every process: " + err.Error())
	}
	ctx, cancel := context.WithTimeout(context.Background(), quitLimit)
	defer cancel()
	_ = s.cfg.Group.Empty(ctx) // processes that still live get the stop signal
}
