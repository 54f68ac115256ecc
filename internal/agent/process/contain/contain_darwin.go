package contain

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// Containment holds a group on macOS: the sessions of the processes that were started for it, and
// their descendants. A process that detaches itself and loses its parent is lost to it.
type Containment struct {
	group   Group
	missing []unenforced
}

// New contains a group.
func New(cfg Config, g Group) *Containment {
	c := &Containment{group: g}
	for _, l := range cfg.Limits {
		u := unenforced{l.name, "macOS has no cgroups"}
		c.missing = append(c.missing, u)
		g.Note("%s", u)
	}
	if cfg.OOMScoreAdj != nil {
		g.Note("the oom_score_adj of %d is not set: macOS has none", *cfg.OOMScoreAdj)
	}
	return c
}

func (c *Containment) unenforced() []unenforced { return c.missing }

// Level returns the level of containment; here there is one.
func (c *Containment) Level() string { return LevelProcessGroup }

// Dir is empty: there are no cgroups.
func (c *Containment) Dir(string) string { return "" }

// Dirs are none: there are no cgroups.
func (c *Containment) Dirs() []string { return nil }

// Start makes a process.
func (c *Containment) Start(path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	return children.Start(path, args, attr)
}

// Kill does nothing: the system cannot kill a group at once.
func (c *Containment) Kill() error { return nil }

// EndsWithoutPermission is about cgroups, which macOS does not have.
func (c *Containment) EndsWithoutPermission(int) bool { return false }

// Populated is not known without cgroups.
func (c *Containment) Populated() (populated, known bool) { return false, false }

// OOM is nil: the system does not say what it kills when memory runs out.
func (c *Containment) OOM() *job.OOM { return nil }

// OOMKills is 0: the system does not count them.
func (c *Containment) OOMKills() int64 { return 0 }

// Close has nothing to give back.
func (c *Containment) Close() error { return nil }

// AsCaller does nothing: there is no oom_score_adj.
func AsCaller() (back func()) { return func() {} }

// Scan calls f for every process in a process group of the group or below a process of it.
func (c *Containment) Scan(f func(s *procfs.Stat)) error {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return fmt.Errorf("list the processes of the host: %w", err)
	}
	parent, inside := map[int]int{}, map[int]bool{}
	for i := range all {
		pid := int(all[i].Proc.P_pid)
		parent[pid] = int(all[i].Eproc.Ppid)
		inside[pid] = c.group.HasSession(pid) || c.group.HasSession(int(all[i].Eproc.Pgid))
	}
	for i := range all {
		pid := int(all[i].Proc.P_pid)
		for up, steps := pid, 0; up > 1 && steps < len(all); up, steps = parent[up], steps+1 {
			if up == os.Getpid() {
				break
			}
			if inside[up] {
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
