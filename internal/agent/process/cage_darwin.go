package process

import (
	"bytes"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// cage is the containment of one group on macOS: the sessions of the processes that Start
// made, and their descendants. A process that detaches itself and loses its parent is lost
// to it.
type cage struct{ missing []unenforced }

func (c *cage) unenforced() []unenforced { return c.missing }

func newCage(opts Options, note func(string, ...any)) *cage {
	c := &cage{}
	for _, l := range []struct {
		set  bool
		name string
	}{
		{opts.MemoryLimitBytes > 0, opts.memoryLimitName()},
		{opts.CPULimit > 0, opts.cpuLimitName()},
		{opts.ProcessLimit > 0, opts.processLimitName()},
	} {
		if l.set {
			u := unenforced{l.name, "macOS has no means for a group of processes"}
			c.missing = append(c.missing, u)
			note("%s", u)
		}
	}
	if opts.OOMScoreAdj != nil {
		note("the oom_score_adj of %d is not set: macOS has none", *opts.OOMScoreAdj)
	}
	return c
}

func (c *cage) level() string     { return LevelProcessGroup }
func (c *cage) dir(string) string { return "" }
func (c *cage) dirs() []string    { return nil }
func (c *cage) kill() error       { return nil }
func (c *cage) close() error      { return nil }

func (c *cage) enter(*syscall.SysProcAttr, func(string, ...any)) (leave func()) { return func() {} }
func (c *cage) mayHaveRefused(error) bool                                       { return false }
func (c *cage) withoutLeaf(*syscall.SysProcAttr)                                {}
func (c *cage) dropLeaf(func(string, ...any))                                   {}
func (c *cage) populated() (populated, known bool)                              { return false, false }
func (c *cage) oomKills() int64                                                 { return 0 }
func (c *cage) oom(*Group) *job.OOM                                             { return nil }

func asCaller() (back func()) { return func() {} }

// scan calls f for every process in a process group of g or below a process of g.
func (c *cage) scan(g *Group, f func(s *procfs.Stat)) error {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return fmt.Errorf("list the processes of the host: %w", err)
	}
	roots := map[int]bool{}
	g.mu.Lock()
	for pid := range g.sessions {
		roots[pid] = true
	}
	g.mu.Unlock()
	parent, member := map[int]int{}, map[int]bool{}
	for i := range all {
		pid := int(all[i].Proc.P_pid)
		parent[pid] = int(all[i].Eproc.Ppid)
		member[pid] = roots[pid] || roots[int(all[i].Eproc.Pgid)]
	}
	for i := range all {
		pid := int(all[i].Proc.P_pid)
		for up, steps := pid, 0; up > 1 && steps < len(all); up, steps = parent[up], steps+1 {
			if up == os.Getpid() {
				break
			}
			if member[up] {
				s := statOf(&all[i])
				f(&s)
				break
			}
		}
	}
	return nil
}

// states are the values of p_stat, in order: idle, runs, sleeps, stopped, zombie.
const states = "?IRSTZ"

func statOf(p *unix.KinfoProc) procfs.Stat {
	s := procfs.Stat{PID: int(p.Proc.P_pid), PPID: int(p.Eproc.Ppid), PGRP: int(p.Eproc.Pgid), State: '?'}
	if i := int(p.Proc.P_stat); i >= 0 && i < len(states) {
		s.State = states[i]
	}
	s.StartedTicks = uint64(p.Proc.P_starttime.Nano())
	name, _, _ := bytes.Cut(p.Proc.P_comm[:], []byte{0})
	s.SetName(string(name))
	return s
}

// endsWithoutPermission is about cgroups, which macOS does not have.
func (c *cage) endsWithoutPermission(int) bool { return false }

// Sweep finds nothing on macOS: the environment of another process cannot be read. The
// watcher ends the process groups of an agent that died.
func Sweep(run string, attempt int) (killed []member.Member, err error) { return nil, nil }
