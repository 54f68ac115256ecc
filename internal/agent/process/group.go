//go:build linux || darwin

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/internal/agent/process/watch"
	"stint.dev/stint/job"
)

// Group is all processes of one attempt. Its methods may be called from any goroutine.
//
// Every process gets STINT_RUN_ID and STINT_ATTEMPT in its environment, unless the caller
// put them there: they are the mark by which watch.Sweep finds what an agent that died left
// behind.
//
// Shutdown, in Close: 1. a process of Start that still lives is killed, 2. the watcher kills
// nothing any more and, unless it has something to finish, is dismissed; none is started, 3. the
// group leaves the reaper of orphans, which ends with the last group, 4. the cgroups are removed,
// if they are empty.
type Group struct {
	opts        Options
	containment *contain.Containment

	guard *watch.Guard

	mu       sync.Mutex
	notes    []string
	sessions map[int]*Process // by PID, which is also the session's id
	ended    Usage
	killing  bool // Kill was called: from here on a SIGKILL is the group's own
	// suspended are the members that Suspend has stopped.
	suspended map[member.Member]bool
	closed    bool
}

// Contain makes the group for an attempt. Missing rights lower the level and add notes;
// only options that make no sense are an error.
func Contain(opts Options) (*Group, error) {
	if opts.Run == "" || strings.ContainsAny(opts.Run, "/\x00\n=") || opts.Attempt < 0 {
		return nil, &job.InvalidError{What: "attempt", Value: fmt.Sprintf("%s.%d", opts.Run, opts.Attempt), Why: "is not a run id and an attempt number"}
	}
	if opts.MemoryLimitBytes < 0 || opts.ProcessLimit < 0 || opts.CPULimit < 0 || opts.CPULimit != opts.CPULimit {
		return nil, &job.InvalidError{What: "limit", Value: fmt.Sprintf("%d bytes, %g cores, %d processes", opts.MemoryLimitBytes, opts.CPULimit, opts.ProcessLimit), Why: "is below zero"}
	}
	g := &Group{opts: opts, sessions: make(map[int]*Process)}
	g.containment = contain.New(contain.Config{
		Run: opts.Run, Attempt: opts.Attempt, Limits: opts.limits(), OOMScoreAdj: opts.OOMScoreAdj, AtMost: opts.AtMost,
	}, hooks{g})
	g.guard = watch.New(g.marks(), opts.Finish, opts.Held, hooks{g})
	if err := children.Join(hooks{g}); err != nil {
		g.note("processes that detach themselves are adopted by the system's init, not by the agent: %v", err)
	}
	return g, nil
}

// Level returns the level of containment of the group: one of those of package contain. It can fall at
// the first Start, when the kernel refuses what it seemed to offer.
func (g *Group) Level() string { return g.containment.Level() }

// Notes returns sentences for a person about what the group cannot do.
func (g *Group) Notes() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.notes)
}

func (g *Group) note(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := fmt.Sprintf(format, args...); !slices.Contains(g.notes, s) {
		g.notes = append(g.notes, s)
	}
}

// marks returns what identifies a process of this attempt.
func (g *Group) marks() member.Marks { return member.MarksOf(g.opts.Run, g.opts.Attempt) }

// Signal sends sig to every member once. A member that is stopped is woken, so that it can
// act on a signal that asks it to end. The error is or holds a *member.DeniedError for members that
// this user may not signal.
func (g *Group) Signal(sig syscall.Signal) error {
	members, err := g.Members()
	if err != nil {
		err = g.signalUnlisted(sig, err)
	}
	var denied member.DeniedError
	for _, m := range members {
		if sigErr := m.Signal(sig); errors.Is(sigErr, syscall.EPERM) {
			denied.Add(m)
			continue
		} else {
			err = errors.Join(err, sigErr)
		}
		if (m.State == "T" || m.State == "t") && sig != syscall.SIGSTOP && sig != syscall.SIGTSTP && sig != syscall.SIGKILL {
			err = errors.Join(err, m.Signal(syscall.SIGCONT))
			g.noteContinued(m)
		}
	}
	if err = errors.Join(err, denied.OrNil()); err != nil {
		return fmt.Errorf("send %s to the processes of the attempt: %w", sig, err)
	}
	return nil
}

// Kill ends every member with SIGKILL, those included that are being made meanwhile. It
// does not wait until they are gone; see Empty. The error is or holds a *member.DeniedError for
// members that live on because this user may not kill them.
func (g *Group) Kill() error {
	g.mu.Lock()
	g.killing = true
	g.mu.Unlock()
	err := errors.Join(g.containment.Kill(), g.killRounds())
	if err != nil {
		return fmt.Errorf("kill the processes of the attempt: %w", err)
	}
	return nil
}

// killRounds lists and kills until a list has no new process. Against a fork bomb each round
// first stops everybody, so that the number of those who can still fork falls.
func (g *Group) killRounds() error {
	const most = 200
	sent := map[member.Member]error{}
	for round := range most {
		members, err := g.Members()
		if err != nil {
			return g.signalUnlisted(syscall.SIGKILL, err)
		}
		var denied member.DeniedError
		fresh := members[:0]
		for _, m := range members {
			m.State = ""
			sigErr, known := sent[m]
			switch {
			case !known:
				fresh = append(fresh, m)
			case sigErr != nil:
				denied.Add(m)
			}
		}
		if len(fresh) == 0 {
			return denied.OrNil()
		}
		if round > 0 {
			for _, m := range fresh {
				_ = m.Signal(syscall.SIGSTOP) // the kill below reports what matters
			}
		}
		for _, m := range fresh {
			sigErr := m.Signal(syscall.SIGKILL)
			if !errors.Is(sigErr, syscall.EPERM) {
				err = errors.Join(err, sigErr)
				sigErr = nil
			} else if g.containment.EndsWithoutPermission(m.PID) {
				sigErr = nil
			}
			sent[m] = sigErr
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("after %d rounds it still makes processes faster than they can be killed; limit them", most)
}

// Members lists the living processes of the attempt, without the agent and its helpers.
func (g *Group) Members() ([]member.Member, error) {
	var members []member.Member
	err := g.Scan(func(s *procfs.Stat) {
		if !s.Dead() {
			members = append(members, member.Of(s))
		}
	})
	return members, err
}

// Scan calls f for each process of the attempt; those that have ended and were not waited
// for yet (zombies) are included where the level still sees them. f must not keep s.
func (g *Group) Scan(f func(s *procfs.Stat)) error { return g.containment.Scan(f) }

// Empty waits until no member lives, or ctx ends; then it returns ctx's error. After Kill it
// goes on killing what comes to light.
func (g *Group) Empty(ctx context.Context) error {
	pause := firstPollDelay
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		children.Reap()
		empty, err := g.empty()
		if err != nil || empty {
			return err
		}
		if pause == pollDelayLimit && g.killed() {
			// What was being made while the kill went round was in none of its lists.
			var denied *member.DeniedError // Kill has reported it
			if err := g.killRounds(); err != nil && !errors.As(err, &denied) {
				return err
			}
		}
		timer.Reset(pause)
		pause = min(2*pause, pollDelayLimit)
	}
}

// IsEmpty reports that no member lives; false also when that is not known yet.
func (g *Group) IsEmpty() bool {
	empty, err := g.empty()
	return empty && err == nil
}

func (g *Group) killed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.killing
}

func (g *Group) empty() (bool, error) {
	orphans := false
	listed := children.Adopted(hooks{g}, func(*procfs.Stat) { orphans = true })
	if orphans {
		return false, nil
	}
	if populated, known := g.containment.Populated(); known {
		return !populated, nil
	}
	if listed {
		// Without an orphan, everything that lives hangs below a process of Start.
		return !g.startedLives(), nil
	}
	members, err := g.Members()
	if err != nil {
		return len(g.liveSessions()) == 0, nil
	}
	return len(members) == 0, nil
}

func (g *Group) startedLives() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.sessions {
		select {
		case <-p.done:
		default:
			return true
		}
	}
	return false
}

// EndedUsage returns what those processes used that this process has waited for: the ones from
// Start, and orphans of the attempt. Their own waited-for children are included.
func (g *Group) EndedUsage() Usage {
	children.Reap()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

func (g *Group) addUsage(r *syscall.Rusage) {
	u := usageOf(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended.CPUSeconds += u.CPUSeconds
	g.ended.ReadBytes += u.ReadBytes
	g.ended.WriteBytes += u.WriteBytes
}

// CgroupDir returns the attempt's own directory in a cgroup hierarchy: "cgroup2", or the name
// of a v1 controller ("memory", "cpuacct", "pids"). It is empty where there is none.
func (g *Group) CgroupDir(hierarchy string) string { return g.containment.Dir(hierarchy) }

// OOM returns the proof that the kernel's out-of-memory killer ended processes of the attempt
// since the last call, or nil. It rests on the kernel's counters, never on an exit code.
func (g *Group) OOM() *job.OOM { return g.containment.OOM() }

// Unenforced returns one line that names the limits of the options that do not hold, and why;
// empty when all hold. It may change with each Start.
func (g *Group) Unenforced() string { return g.containment.Unenforced() }

// OOMKills counts the kernel's kills for want of memory in the attempt's own cgroup so
// far; 0 where there is none.
func (g *Group) OOMKills() int64 { return g.containment.OOMKills() }

// LetLive keeps the watcher from killing processes that outlive the agent. It is called when they
// were left on purpose; their cgroup, and the limits set there, stay as long as they live. It
// returns true if they end with the agent all the same, because it is the init of its container.
func (g *Group) LetLive() (endsWithUs bool) {
	g.guard.Disarm()
	return os.Getpid() == 1
}

// Dismiss ends the watcher, which with Options.Finish outlives Close. It is called when the journal
// does not need the watcher any more.
func (g *Group) Dismiss() { g.guard.Dismiss() }

// closeLimit bounds the wait for processes that Close has killed: some cannot be.
const closeLimit = time.Second

// isClosed reports whether Close was called: nothing may be started any more.
func (g *Group) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Close gives back what the group holds. Members that still live are left alone (their
// cgroup stays until they end), except for a process of Start, which is killed.
func (g *Group) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	started := make([]*Process, 0, len(g.sessions))
	for _, p := range g.sessions {
		started = append(started, p)
	}
	g.mu.Unlock()
	for _, p := range started {
		p.killIfAlive()
	}
	g.guard.Disarm()
	bounded.Do(closeLimit, func() {
		for _, p := range started {
			<-p.done
		}
	})
	children.Reap() // an orphan comes to us when its dead parent was waited for
	children.Leave(hooks{g})
	return g.containment.Close()
}
