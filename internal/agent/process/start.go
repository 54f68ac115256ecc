//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/job"
)

// Process is a process that Start made.
type Process struct {
	group *Group
	os    *os.Process
	pid   int
	name  string // for a person: the base name of the program
	done  chan struct{}
	exit  Exit // valid once done is closed
	// vacant is set when nothing is left in its process group; the group's mu guards it.
	vacant bool
}

// PID returns the process's id, which is also the id of its session and process group.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended. What it started may live on: see
// Group.Members.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for the process and says how it ended.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal sends sig to this process alone. A process that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.os.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s (pid %d): %w", sig, p.name, p.pid, err)
	}
	return nil
}

func (p *Process) killIfAlive() {
	select {
	case <-p.done:
	default:
		_ = p.os.Kill() // it has ended meanwhile, or the wait for done shows it
	}
}

// Start makes a process in the group, in a session of its own: no terminal can stop it or
// hang it up, but for one that it was given. The error is a *job.StartError.
func (g *Group) Start(s Spec) (*Process, error) {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return nil, &job.StartError{Path: "the command", Errno: "ENOENT", Text: "it is empty"}
	}
	env := g.marks().AddTo(s.Env)
	null, err := children.OpenNull()
	if err != nil {
		return nil, g.explain(&refusal{os.DevNull, err}, s, env)
	}
	defer null.Close()
	files := []*os.File{s.Stdin, s.Stdout, s.Stderr}
	for i, f := range files {
		if f == nil {
			files[i] = null
		}
	}
	files, done := aboveInherited(files)
	defer done()
	sys := &syscall.SysProcAttr{Setsid: true, Setctty: s.Terminal, Ctty: 1}
	p := &Process{group: g, name: baseName(s.Args[0]), done: make(chan struct{})}
	started := make(chan *refusal)
	go p.startAndWait(s, &os.ProcAttr{Dir: s.Dir, Env: env, Files: files, Sys: sys}, started)
	if refused := <-started; refused != nil {
		return nil, g.explain(refused, s, env)
	}
	g.guard.Add(p)
	return p, nil
}

// startAndWait makes the process, sends to started whether that failed, and waits for its end: all on one
// thread, which is held for two reasons. The kernel sends a child its parent-death signal
// when the thread that forked it ends, so that thread must live as long as the child; and
// under cgroup v1 it steps into the attempt's groups for the length of a fork, so that the
// child is born there.
//
// That is never the main thread: the kernel counts the memory of a process where its main
// thread is, and would kill the agent in its place when the attempt's group has none left.
func (p *Process) startAndWait(s Spec, attr *os.ProcAttr, started chan<- *refusal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if onMainThread() {
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			close(locked) // before that, the main thread was taken
			p.makeAndWait(s, attr, started)
		}()
		<-locked
		return
	}
	p.makeAndWait(s, attr, started)
}

func (p *Process) makeAndWait(s Spec, attr *os.ProcAttr, started chan<- *refusal) {
	child, refused := p.group.start(s, attr)
	if refused == nil {
		p.os, p.pid = child, child.Pid
		p.group.mu.Lock()
		p.group.sessions[p.pid] = p
		p.group.mu.Unlock()
	}
	started <- refused
	if refused == nil {
		p.wait()
	}
}

// fork runs on the thread that will wait for the child.
func (g *Group) fork(path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	if g.opts.BeforeFork != nil {
		defer g.opts.BeforeFork()()
	}
	if g.isClosed() { // the start was given up while a file system did not answer
		return nil, os.ErrClosed
	}
	return g.containment.Start(path, args, attr)
}

// wait waits for the process, which nothing else does, and notes how it ended.
func (p *Process) wait() {
	state, err := p.os.Wait()
	children.Forget(p.pid)
	p.group.isVacant(p)
	if err != nil {
		p.group.note("how %s (pid %d) ended is not known: %v", p.name, p.pid, err)
		p.exit.Code = 255
	} else {
		p.exit = exitOf(state)
		if u, ok := state.SysUsage().(*syscall.Rusage); ok {
			p.group.addUsage(u)
		}
	}
	close(p.done)
}

func exitOf(state *os.ProcessState) Exit {
	e := Exit{CPUSeconds: (state.UserTime() + state.SystemTime()).Seconds()}
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		e.MaxRSSBytes = int64(u.Maxrss) * maxRSSUnit
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		e.Code = state.ExitCode()
		return e
	}
	e.SignalNo, e.Core = int(status.Signal()), status.CoreDump()
	if e.Signal = unix.SignalName(status.Signal()); e.Signal == "" {
		e.Signal = fmt.Sprintf("SIG%d", e.SignalNo) // a real-time signal
	}
	return e
}

// usageOf reads what wait4 says of an ended process. Blocks are of 512 bytes and exist only
// on Linux.
func usageOf(u *syscall.Rusage) Usage {
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return Usage{CPUSeconds: cpu.Seconds(), ReadBytes: int64(u.Inblock) * 512, WriteBytes: int64(u.Oublock) * 512}
}
