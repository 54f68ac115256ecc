// Package stdio makes the three streams of each step of an attempt, pipes or a terminal, and
// closes them.
package stdio

import (
	"fmt"
	"os"
	"time"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/job"
)

// Config says what the steps get.
type Config struct {
	// Stdin is that of the command; nil is /dev/null.
	Stdin *os.File
	// Stdout and Stderr are the caller's own, whose terminal the job's follows in size.
	Stdout, Stderr *os.File
	// TTY gives the command a terminal, and TypeStdin, with TTY, has the agent type into it what
	// Stdin brings.
	TTY, TypeStdin bool
	// Merge gives the command one pipe for stdout and stderr.
	Merge bool
	// KeepStdin says that further attempts read Stdin.
	KeepStdin bool
}

// Streams are those of one attempt. They belong to the supervising goroutine; CloseKeyboard
// may be called by others when no step runs.
type Streams struct {
	cfg      Config
	rec      *record.Recorder
	passer   *record.Passer // nil when output is not passed on
	cores    *record.Cores
	captures []*record.Capture // streams that are being drained

	master   *os.File           // our side of the command's terminal; nil without one
	keyboard *terminal.Keyboard // what is typed into it; nil without that
}

// New makes the streams of an attempt; passer is nil when output is not passed on.
func New(c Config, rec *record.Recorder, passer *record.Passer, cores *record.Cores) *Streams {
	return &Streams{cfg: c, rec: rec, passer: passer, cores: cores}
}

// Step is what a step's process gets as its three streams, and how its output comes back.
type Step struct {
	Stdin, Stdout, Stderr *os.File

	captures []*record.Capture
	master   *os.File // of the pseudo-terminal; nil when the streams are pipes
}

// Terminal reports whether the process gets a terminal.
func (s Step) Terminal() bool { return s.master != nil }

// Discard closes the streams of a process that did not start.
func (s Step) Discard() {
	for _, c := range s.captures {
		c.Discard()
	}
}

// Open makes the streams of a step. Only the command has the caller's stdin and a terminal: an
// install step would consume the command's input.
func (s *Streams) Open(step int, command bool) (Step, error) {
	if command && s.cfg.TTY {
		return s.openTerminal(step)
	}
	out, err := s.rec.CapturePipe(step, job.Stdout)
	if err != nil {
		return Step{}, err
	}
	if command && s.cfg.Merge {
		return Step{Stdin: s.cfg.Stdin, Stdout: out.JobEnd(), Stderr: out.JobEnd(), captures: []*record.Capture{out}}, nil
	}
	errs, err := s.rec.CapturePipe(step, job.Stderr)
	if err != nil {
		out.Discard()
		return Step{}, err
	}
	opened := Step{Stdout: out.JobEnd(), Stderr: errs.JobEnd(), captures: []*record.Capture{out, errs}}
	if command {
		opened.Stdin = s.cfg.Stdin
	}
	return opened, nil
}

// openTerminal makes a pseudo-terminal for a step. Both of its output streams are one then.
func (s *Streams) openTerminal(step int) (Step, error) {
	master, slave, err := terminal.Open(s.size())
	if err != nil {
		return Step{}, err
	}
	raw := s.types() && terminal.AddsReturn(s.cfg.Stdin) // while the agent types
	if !raw && terminal.AddsReturn(s.cfg.Stdout) {
		if err := terminal.LeaveReturn(slave); err != nil {
			s.rec.Note(step, err.Error())
		}
	}
	c := s.rec.CaptureTerminal(step, master, slave)
	opened := Step{Stdin: s.cfg.Stdin, Stdout: slave, Stderr: slave, captures: []*record.Capture{c}, master: master}
	if s.types() {
		opened.Stdin = slave
	}
	return opened, nil
}

// types reports whether the agent types the caller's stdin into the command's terminal.
func (s *Streams) types() bool { return s.cfg.TTY && s.cfg.TypeStdin && s.cfg.Stdin != nil }

// size is that of the agent's own terminal.
func (s *Streams) size() terminal.Size {
	return terminal.SizeOf(s.cfg.Stdout, s.cfg.Stderr, s.cfg.Stdin)
}

// Start begins to drain the streams of a step, and to copy what is typed.
func (s *Streams) Start(step int, opened Step) {
	for _, c := range opened.captures {
		c.Start(s.cores)
		s.passer.Watch(c)
	}
	s.captures = append(s.captures, opened.captures...)
	if s.master = opened.master; s.master != nil && s.types() {
		s.ResumeTyping(step)
	}
}

// Closed returns which streams of a step were closed, because their reader went away; nil for
// none.
func (s *Streams) Closed(step int) *job.ClosedOutput { return s.passer.Closed(step) }

// Release lets the streams of a step end: its process has, and nothing more is typed. The
// caller's terminal is given back by CloseKeyboard, when it has got the output.
func (s *Streams) Release(step int) {
	s.keyboard.Stop()
	s.master = nil
	for _, c := range s.captures {
		if c.Step() == step {
			c.Release()
		}
	}
}

// DrainStep waits until the streams of a step are read to their end, but not longer than a
// limit. They stay open until DrainAll.
func (s *Streams) DrainStep(step int, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, c := range s.captures {
		if c.Step() != step {
			continue
		}
		select {
		case <-c.Done():
		case <-timer.C:
			return
		}
	}
}

// DrainAll reads all streams to their end, but not longer than a limit. holder names, for
// people, what may hold one open then.
func (s *Streams) DrainAll(limit time.Duration, holder string) {
	at := time.Now().Add(limit)
	for _, c := range s.captures {
		c.Limit(at)
	}
	for _, c := range s.captures {
		<-c.Done()
		if c.Held() {
			s.rec.Note(c.Step(), fmt.Sprintf("%s still holds %s open; what it prints from here on is not recorded", holder, c.Stream()))
		}
	}
	s.captures = nil
}

// Resize gives the command's terminal the size of the agent's own. It returns false when there
// is none: the signal is then passed on to the job.
func (s *Streams) Resize(step int) bool {
	if s.master == nil {
		return false
	}
	if err := terminal.Resize(s.master, s.size()); err != nil {
		s.rec.Note(step, err.Error())
		s.master = nil // once is enough
	}
	return true
}

// PauseTyping gives the caller's terminal back, and reports whether anything was typed.
func (s *Streams) PauseTyping() bool {
	typed := s.keyboard != nil
	s.keyboard.Close()
	return typed
}

// ResumeTyping types what the caller types into the command's terminal.
func (s *Streams) ResumeTyping(step int) {
	keyboard, err := terminal.Connect(s.cfg.Stdin, s.master)
	if err != nil {
		s.rec.Note(step, "the job gets no input: "+err.Error())
	}
	s.keyboard = keyboard
}

// CloseKeyboard gives the caller's terminal back. A second call does nothing.
func (s *Streams) CloseKeyboard() { s.keyboard.Close() }
