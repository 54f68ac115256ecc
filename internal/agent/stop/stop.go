// Package stop ends the processes of the job in the same way for every cause: a signal, the
// grace, the kill.
package stop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// killLimit bounds the wait for processes that were killed.
	killLimit = 10 * time.Second
	// killAgainAfter is when a kill is repeated, against processes made meanwhile.
	killAgainAfter = 5 * time.Second
)

// Group holds the processes of the job.
type Group interface {
	Signal(sig syscall.Signal) error
	Kill() error
	Members() ([]member.Member, error)
	// Empty waits until no process lives.
	Empty(ctx context.Context) error
}

// Config says how a job is stopped.
type Config struct {
	Group Group
	// Signal asks the job to end; 0 is the signal that asked the agent to, and SIGTERM where it
	// was none.
	Signal syscall.Signal
	Grace  time.Duration // from the signal to the kill
	// QuitFirst sends SIGQUIT before the signal when a limit was passed.
	QuitFirst bool
	// Began is called when a stop begins, before the job gets a signal.
	Began func(job.StopCause)
	// Processes writes a note about the processes of the step that runs into the journal.
	Processes func(journal.Note)
	// Note writes a text about the step that runs into the journal, and Print prints one.
	Note, Print func(text string)
}

// Stop is the stop of one attempt: none yet, then begun, killed, and in the end abandoned if
// processes live on. It belongs to the goroutine that supervises the attempt.
type Stop struct {
	cfg Config

	cause     *job.StopCause // nil before Begin
	requested syscall.Signal // the agent was asked to stop by this signal; 0 for another cause
	sent      syscall.Signal // the last signal sent to the job; 0 for none
	final     bool           // a person or the server requested it: no further attempt begins by itself

	grace *time.Timer // fires when the grace is over, and from then on for each further kill
	over  time.Time   // when the grace is over; zero while none runs

	killed    time.Time           // when the job was killed first; zero before
	denied    *member.DeniedError // processes that this user may not signal; nil for none
	abandoned bool                // what did not die is not waited for any more
	unstopped string              // what was abandoned, and why; empty for nothing
}

// New prepares the stop of an attempt.
func New(c Config) *Stop {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Stop{cfg: c, grace: t}
}

// Cause returns the first cause of the stop; nil before it has begun.
func (s *Stop) Cause() *job.StopCause { return s.cause }

// Begun reports whether the stop has begun.
func (s *Stop) Begun() bool { return s.cause != nil }

// Final reports whether no further attempt may begin by itself.
func (s *Stop) Final() bool { return s.final }

// Signals returns the signal by which the agent was asked to stop, and the last one that was
// sent to the job; 0 for none.
func (s *Stop) Signals() (requested, sent syscall.Signal) { return s.requested, s.sent }

// Abandoned reports whether processes that did not die are not waited for any more.
func (s *Stop) Abandoned() bool { return s.abandoned }

// Unstopped returns what was abandoned, and why; empty for nothing.
func (s *Stop) Unstopped() string { return s.unstopped }

// GraceOver receives a value when the grace is over, and again until the job has ended: Kill is
// due.
func (s *Stop) GraceOver() <-chan time.Time { return s.grace.C }

// EndGrace ends the grace: no process is left.
func (s *Stop) EndGrace() { s.grace.Stop() }

// Shorten makes the grace end after d, unless it ends sooner.
func (s *Stop) Shorten(d time.Duration) {
	over := time.Now().Add(d)
	if !s.over.IsZero() && s.over.Before(over) {
		return
	}
	s.over = over
	s.grace.Reset(d)
}

// Begin starts stopping for a cause. The first cause counts.
func (s *Stop) Begin(cause job.StopCause) { s.begin(cause, 0) }

// BeginFinal starts stopping because a person or the server requested it: no further attempt
// begins by itself. sig is the signal by which the agent was asked; 0 for none.
func (s *Stop) BeginFinal(cause job.StopCause, sig syscall.Signal) {
	s.final = true
	s.begin(cause, sig)
}

func (s *Stop) begin(cause job.StopCause, sig syscall.Signal) {
	if s.cause != nil {
		return
	}
	s.cause, s.requested = &cause, sig
	s.cfg.Began(cause)
	s.explain(cause)
	s.Shorten(s.cfg.Grace)
	s.Ask()
}

// Ask sends the stop signal to every process of the job.
func (s *Stop) Ask() {
	s.sent = cmp.Or(s.cfg.Signal, s.requested, syscall.SIGTERM)
	if err := s.cfg.Group.Signal(s.sent); err != nil && !s.isDenied(err) {
		s.cfg.Note("the stop signal did not reach every process: " + err.Error())
	}
}

// AskLeftOver sends SIGTERM to what the command left behind, unless it got that already or was
// killed.
func (s *Stop) AskLeftOver() {
	if !s.killed.IsZero() || s.cause != nil && (s.cfg.Signal != 0 || s.sent == syscall.SIGTERM) {
		return
	}
	if err := s.cfg.Group.Signal(syscall.SIGTERM); err != nil {
		s.isDenied(err) // the kill reports the rest
	}
	s.Shorten(s.cfg.Grace)
}

// isDenied reports whether an error is about processes that this user may not signal. It names
// them on stderr once, while a person can do something about it.
func (s *Stop) isDenied(err error) bool {
	var denied *member.DeniedError
	if !errors.As(err, &denied) {
		return false
	}
	if s.denied == nil {
		var pids strings.Builder
		for _, p := range denied.Processes {
			fmt.Fprintf(&pids, " %d", p.PID)
		}
		s.cfg.Print("the job cannot be stopped: " + denied.Error() + "; stop it with: sudo kill" + pids.String())
	}
	s.denied = denied
	return true
}

// UnstoppedOf returns what of a step whose process has ended the stop did not end, and why;
// empty if it ended everything. What this user may not signal has then ended by itself.
func (s *Stop) UnstoppedOf(pid int) string {
	if d := s.denied; d != nil && slices.ContainsFunc(d.Processes, func(p member.Denied) bool { return p.PID == pid }) {
		return d.Error()
	}
	return s.unstopped
}

// Kill kills what has not ended when the grace is over. What lives on for killLimit is
// abandoned.
func (s *Stop) Kill() {
	now := time.Now()
	again := !s.killed.IsZero()
	if again && now.Sub(s.killed) >= killLimit {
		s.Abandon()
		return
	}
	if !again {
		s.killed = now
	}
	s.sent = syscall.SIGKILL
	if err := s.cfg.Group.Kill(); err != nil {
		s.killFailed(err, again)
	}
	s.grace.Reset(killAgainAfter)
}

// killFailed notes why a kill did not reach every process: for those that this user may not
// kill, once.
func (s *Stop) killFailed(err error, again bool) {
	if s.isDenied(err) {
		if again {
			return
		}
		err = s.denied
	}
	s.cfg.Note("the kill did not reach every process: " + err.Error())
}

// Abandon ends the wait for processes that did not die of the kill.
func (s *Stop) Abandon() {
	s.abandoned = true
	s.grace.Stop()
	if s.denied != nil { // reported when it was noticed
		s.final, s.unstopped = true, s.denied.Error()
		return
	}
	members, err := s.cfg.Group.Members()
	switch {
	case err != nil:
		s.GiveUp("its processes cannot be listed: " + err.Error())
	case len(members) > 0:
		s.GiveUp(member.NamesText(members) + " did not die of SIGKILL")
	}
}

// GiveUp reports what could not be stopped. No further attempt begins beside it.
func (s *Stop) GiveUp(what string) {
	s.final, s.unstopped = true, what
	s.cfg.Print("the job could not be stopped: " + what)
	s.cfg.Note("the job could not be stopped: " + what)
}
