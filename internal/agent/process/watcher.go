//go:build linux || darwin

package process

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/member"
)

// watcherScript is what the watcher runs; see there.
//
//go:embed watcher.sh
var watcherScript string

// watcher is a small shell beside the agent that outlives it. It holds the read end of a
// pipe whose write end only the agent has: if the agent dies, by whatever cause, the pipe
// ends, and the watcher kills what the attempt left. It was preferred to a second Go
// process because it is cheaper (0.2 ms to start, 0.4 MB of memory of its own) and can be
// read by anybody; the figures are in docs/adr/0003-containment.md.
type watcher struct {
	process *os.Process
	pipe    *os.File
}

// guardAfter is how old a process must be to get a watcher. Most attempts that are over
// sooner never pay for one; until then the parent-death signal covers the direct child, and
// Sweep the rest.
const guardAfter = 50 * time.Millisecond

// guards is what a group knows of its watcher.
type guards struct {
	mu        sync.Mutex
	watcher   *watcher      // nil until a process has lived for a while, and where none is needed
	unguarded []*Process    // what the watcher does not know yet
	guarded   []*Process    // whose sessions the watcher would end
	late      *time.Timer   // nil before the first process
	after     time.Duration // see guardAfter; tests make it longer
	over      bool          // nothing is to be killed any more
}

// Finish is what the watcher does once the agent has died and the job's processes are
// killed: it runs the agent's own program as "finish-attempt RUN ATTEMPT", also when its file
// was replaced or deleted meanwhile.
type Finish struct {
	// Settings is what that program reads from its descriptor 4. While the agent lives no
	// other process of its user can read it.
	Settings []byte
}

// guardSoon has the watcher know of p before long.
func (g *Group) guardSoon(p *Process) {
	if os.Getpid() == 1 {
		return // when the init of a PID namespace dies, the kernel kills everything in it
	}
	g.guards.mu.Lock()
	defer g.guards.mu.Unlock()
	g.guards.unguarded = append(g.guards.unguarded, p)
	if g.guards.late == nil {
		g.guards.late = time.AfterFunc(g.guards.after, g.guard)
	} else {
		g.guards.late.Reset(g.guards.after)
	}
}

// guard tells the watcher of processes, and starts it with the first that has lived long
// enough. A session is told of while anything lives in it: later its number may be a
// stranger's.
func (g *Group) guard() {
	g.guards.mu.Lock()
	defer g.guards.mu.Unlock()
	started := g.guards.unguarded
	g.guards.unguarded = nil
	for _, p := range started {
		if g.guards.over || g.guards.watcher == nil && !g.startedLives() && g.IsEmpty() {
			return
		}
		if g.guards.watcher == nil {
			w, err := g.startWatcher()
			if err != nil {
				g.note("if the agent itself is killed with SIGKILL, processes that the job started may live on: the watcher does not run: %v", err)
				return
			}
			g.guards.watcher = w
		}
		if ticks, lives := p.session(); lives {
			g.guards.watcher.tell(fmt.Sprintf("%d %d", p.pid, ticks))
			g.guards.guarded = append(g.guards.guarded, p)
		}
	}
}

// retractEnded tells the watcher which sessions have ended.
func (g *Group) retractEnded() {
	g.guards.mu.Lock()
	defer g.guards.mu.Unlock()
	if g.guards.watcher == nil {
		return
	}
	g.guards.guarded = slices.DeleteFunc(g.guards.guarded, func(p *Process) bool {
		_, lives := p.session()
		if !lives {
			g.guards.watcher.tell(fmt.Sprintf("-%d", p.pid))
		}
		return !lives
	})
}

// session reports whether anything lives in the session of p, or of its first process waits
// to be reaped, and when that process started; 0 when it has ended.
func (p *Process) session() (startedTicks uint64, lives bool) {
	startedTicks = member.StartedAt(p.pid)
	select {
	case <-p.done:
		return 0, syscall.Kill(-p.pid, 0) != syscall.ESRCH
	default:
		return startedTicks, true // the number was its own while we looked
	}
}

// unguard keeps the watcher from killing anything from here on. One that is being started is
// waited for. Without anything to finish it is dismissed.
func (g *Group) unguard() {
	g.guards.mu.Lock()
	defer g.guards.mu.Unlock()
	first := !g.guards.over
	g.guards.over = true
	if g.guards.late != nil {
		g.guards.late.Stop()
	}
	if g.opts.Finish == nil {
		g.dismissWatcher()
	} else if g.guards.watcher != nil && first {
		g.guards.watcher.tell("over")
	}
}

// Dismiss ends the watcher, which with Options.Finish outlives Close: the journal needs
// nobody any more.
func (g *Group) Dismiss() {
	g.guards.mu.Lock()
	defer g.guards.mu.Unlock()
	g.guards.over = true
	g.dismissWatcher()
}

func (g *Group) dismissWatcher() {
	g.guards.watcher.dismiss()
	g.guards.watcher = nil
}

func (g *Group) startWatcher() (*watcher, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	null, err := children.OpenNull()
	if err != nil {
		w.Close()
		return nil, err
	}
	defer null.Close()
	files := []*os.File{r, null, null}
	p, err := g.startFinisher(files)
	if p == nil || err != nil {
		p, err = g.startShell("/bin/sh", files)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return &watcher{process: p, pipe: w}, nil
}

// startFinisher starts a watcher that can finish the attempt; nil where there is nothing to
// finish, or no way to do it that keeps the settings to itself.
func (g *Group) startFinisher(files []*os.File) (*os.Process, error) {
	if g.opts.Finish == nil {
		return nil, nil //nolint:nilnil // none is wanted
	}
	f, err := openFinisher(g.opts.Finish)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return g.startShell(f.shell, append(files, f.program, f.settings))
}

func (g *Group) startShell(path string, files []*os.File) (*os.Process, error) {
	marks := g.marks()
	// A busybox is the shell only under the name sh; what it is stands in $0.
	args := append([]string{"sh", "-c", watcherScript, "stint-watcher", marks[0], marks[1]}, g.containment.Dirs()...)
	return children.Start(path, args, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// tell sends a line. A watcher that was killed gives EPIPE; it is not the job's trouble.
func (w *watcher) tell(line string) { _, _ = io.WriteString(w.pipe, line+"\n") }

// dismiss ends the watcher. It is killed before the pipe closes, so it cannot take the
// end of the pipe for the agent's death.
func (w *watcher) dismiss() {
	if w == nil {
		return
	}
	_ = w.process.Kill() // it ended before: the wait tells
	_, _ = w.process.Wait()
	children.Forget(w.process.Pid)
	w.pipe.Close()
}
