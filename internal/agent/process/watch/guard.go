//go:build linux || darwin

// Package watch ends what an agent leaves that dies: at once, by a watcher that outlives it, or
// later, by a sweep of the host.
package watch

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/process/member"
)

// guardDelay is how old a process must be to get a watcher. Most attempts that are over
// sooner never pay for one; until then the parent-death signal covers the direct child, and
// Sweep the rest.
const guardDelay = 50 * time.Millisecond

// Process is the first process of a session that the watcher has to end.
type Process interface {
	PID() int // also the number of its session and process group
	Done() <-chan struct{}
}

// Group is the group whose processes are guarded.
type Group interface {
	// Lives reports whether a process of the group lives, or may live.
	Lives() bool
	// CgroupDirs are the cgroups of the group, for the watcher to kill in and to remove.
	CgroupDirs() []string
	// Note takes a sentence for a person about what cannot be done.
	Note(format string, args ...any)
}

// Finish is what the watcher does once the agent has died and the job's processes are
// killed: it runs the agent's own program as "finish-attempt RUN ATTEMPT", also when its file
// was replaced or deleted meanwhile.
type Finish struct {
	// Settings is what that program reads from its descriptor 4. While the agent lives no
	// other process of its user can read it.
	Settings []byte
}

// Guard has a watcher for a group: none at first, one as soon as a process has lived for a while,
// and none again after Disarm, or with something to finish after Dismiss.
type Guard struct {
	marks  member.Marks
	finish *Finish // nil for nothing
	group  Group
	held   *os.File // that the watcher has open until nothing of the attempt lives; nil for none

	mu       sync.Mutex
	watcher  *watcher      // nil until a process has lived for a while, and where none is needed
	added    []Process     // what the watcher does not know yet
	guarded  []Process     // whose sessions the watcher would end
	timer    *time.Timer   // nil before the first process
	delay    time.Duration // see guardDelay; tests make it longer
	disarmed bool          // nothing is to be killed any more
}

// New makes the guard of an attempt. finish may be nil, and so may held, a file that the watcher of an agent that
// died has open until it has ended the processes of the attempt.
func New(marks member.Marks, finish *Finish, held *os.File, g Group) *Guard {
	return &Guard{marks: marks, finish: finish, held: held, group: g, delay: guardDelay}
}

// Add has the watcher know of a process before long.
func (g *Guard) Add(p Process) {
	if os.Getpid() == 1 {
		return // when the init of a PID namespace dies, the kernel kills everything in it
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.added = append(g.added, p)
	if g.timer == nil {
		g.timer = time.AfterFunc(g.delay, g.update)
	} else {
		g.timer.Reset(g.delay)
	}
}

// update sends the sessions of new processes to the watcher, and starts it with the first that has
// lived long enough. A session is sent while anything lives in it: later its number may be a
// stranger's.
func (g *Guard) update() {
	g.mu.Lock()
	defer g.mu.Unlock()
	added := g.added
	g.added = nil
	for _, p := range added {
		if g.disarmed || g.watcher == nil && !g.group.Lives() {
			return
		}
		if g.watcher == nil {
			w, err := g.startWatcher()
			if err != nil {
				g.group.Note("if the agent itself is killed with SIGKILL, processes that the job started may live on: the watcher does not run: %v", err)
				return
			}
			g.watcher = w
		}
		if ticks, lives := session(p); lives {
			g.watcher.send(fmt.Sprintf("%d %d", p.PID(), ticks))
			g.guarded = append(g.guarded, p)
		}
	}
}

// RetractEnded has the watcher forget sessions in which nothing lives any more.
func (g *Guard) RetractEnded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watcher == nil {
		return
	}
	g.guarded = slices.DeleteFunc(g.guarded, func(p Process) bool {
		_, lives := session(p)
		if !lives {
			g.watcher.send(fmt.Sprintf("-%d", p.PID()))
		}
		return !lives
	})
}

// session reports whether anything lives in the session of p, or of its first process waits
// to be reaped, and when that process started; 0 when it has ended.
func session(p Process) (startedTicks uint64, lives bool) {
	startedTicks = member.StartedAt(p.PID())
	select {
	case <-p.Done():
		return 0, syscall.Kill(-p.PID(), 0) != syscall.ESRCH
	default:
		return startedTicks, true // the number was its own meanwhile
	}
}

// Disarm keeps the watcher from killing anything from here on. One that is being started is
// waited for. Without anything to finish it is dismissed.
func (g *Guard) Disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.disarmed
	g.disarmed = true
	if g.timer != nil {
		g.timer.Stop()
	}
	if g.finish == nil {
		g.endWatcher()
	} else if g.watcher != nil && first {
		g.watcher.send("over")
	}
}

// Dismiss ends the watcher, which with something to finish outlives Disarm.
func (g *Guard) Dismiss() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disarmed = true
	g.endWatcher()
}

func (g *Guard) endWatcher() {
	g.watcher.end()
	g.watcher = nil
}
