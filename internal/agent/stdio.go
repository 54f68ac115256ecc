package agent

import (
	"os"
	"syscall"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/job"
)

// stdio is what a step's process gets as its three streams, and how its output comes back.
type stdio struct {
	stdin, stdout, stderr *os.File
	captures              []*record.Capture
	master                *os.File // of the pseudo-terminal; nil when the streams are pipes
}

// stdioOf makes the streams of a step. Only the command has the caller's stdin and a
// terminal: an install step would consume the command's input.
func (a *attempt) stdioOf(s step) (stdio, error) {
	command := s.kind == job.CommandStep
	if command && a.cfg.TTY {
		return a.terminalFor(s)
	}
	out, err := a.rec.CapturePipe(s.index, job.Stdout)
	if err != nil {
		return stdio{}, err
	}
	if command && a.cfg.MergeOutput {
		return stdio{stdin: a.cfg.Stdin, stdout: out.JobEnd(), stderr: out.JobEnd(), captures: []*record.Capture{out}}, nil
	}
	errs, err := a.rec.CapturePipe(s.index, job.Stderr)
	if err != nil {
		out.Discard()
		return stdio{}, err
	}
	io := stdio{stdout: out.JobEnd(), stderr: errs.JobEnd(), captures: []*record.Capture{out, errs}}
	if command {
		io.stdin = a.cfg.Stdin
	}
	return io, nil
}

// terminalFor makes a pseudo-terminal for a step. Both of its output streams are one then.
func (a *attempt) terminalFor(s step) (stdio, error) {
	master, slave, err := terminal.Open(a.terminalSize())
	if err != nil {
		return stdio{}, err
	}
	raw := a.types() && terminal.AddsReturn(a.cfg.Stdin) // while the agent types
	if !raw && terminal.AddsReturn(a.cfg.Stdout) {
		if err := terminal.LeaveReturn(slave); err != nil {
			a.rec.Note(s.index, err.Error())
		}
	}
	c := a.rec.CaptureTerminal(s.index, master, slave)
	io := stdio{stdin: a.cfg.Stdin, stdout: slave, stderr: slave, captures: []*record.Capture{c}, master: master}
	if a.types() {
		io.stdin = slave
	}
	return io, nil
}

// types reports whether the agent types the caller's stdin into the command's terminal.
func (a *attempt) types() bool { return a.cfg.TTY && a.cfg.TypeStdin && a.cfg.Stdin != nil }

// terminalSize is that of the agent's own terminal.
func (a *attempt) terminalSize() terminal.Size {
	return terminal.SizeOf(a.cfg.Stdout, a.cfg.Stderr, a.cfg.Stdin)
}

// startStdio begins to drain, and to copy what is typed.
func (a *attempt) startStdio(io stdio) {
	for _, c := range io.captures {
		c.Start(a.cores)
		a.passer.Watch(c)
	}
	a.captures = append(a.captures, io.captures...)
	if a.tty = io.master; a.tty == nil || !a.types() {
		return
	}
	a.connectKeyboard(io.master)
}

func (io stdio) discard() {
	for _, c := range io.captures {
		c.Discard()
	}
}

// endTyping ends the copying of what is typed; the command has ended, or never began. The
// caller's terminal is given back when it has got the output.
func (a *attempt) endTyping() {
	a.keyboard.Stop()
	a.tty = nil
}

// releaseStep lets the streams of a step end: its process has.
func (a *attempt) releaseStep(s step) {
	for _, c := range a.captures {
		if c.Step() == s.index {
			c.Release()
		}
	}
}

// resized acts on SIGWINCH: a job with a terminal of its own hears of it from the kernel.
func (a *attempt) resized() {
	if a.tty == nil {
		a.passOn(syscall.SIGWINCH)
		return
	}
	if err := terminal.Resize(a.tty, a.terminalSize()); err != nil {
		a.rec.Note(a.current, err.Error())
		a.tty = nil // once is enough
	}
}
