package process

import (
	"os"
	"syscall"

	"stint.dev/stint/internal/agent/process/procfs"
)

// ownership finds the processes of a group among all of the host where no cgroup holds
// them. While the agent lives this is complete: the agent adopts orphans, so whatever the
// job started, however often it forked and detached itself, is a descendant of the agent.
type ownership struct {
	parent  map[int]int  // PID to its parent's PID
	verdict map[int]int8 // PID to ours or foreign
	chain   []int        // scratch
	byPID   map[int]*procfs.Stat
}

const (
	ours    int8 = 1
	foreign int8 = 2
)

// of calls f for those of stats that belong to g.
func (o *ownership) of(g *Group, stats []procfs.Stat, f func(s *procfs.Stat)) {
	if o.parent == nil {
		o.parent, o.verdict, o.byPID = map[int]int{}, map[int]int8{}, map[int]*procfs.Stat{}
	}
	clear(o.parent)
	clear(o.verdict)
	clear(o.byPID)
	self := os.Getpid()
	o.verdict[self], o.verdict[0] = foreign, foreign
	for i := range stats {
		o.parent[stats[i].PID] = stats[i].PPID
		o.byPID[stats[i].PID] = &stats[i]
	}
	children.mu.Lock()
	defer children.mu.Unlock()
	g.mu.Lock()
	for pid, p := range g.sessions {
		select {
		case <-p.done: // the PID may be a stranger's by now
		default:
			o.verdict[pid] = ours
		}
	}
	g.mu.Unlock()
	for i := range stats {
		if o.is(g, &stats[i], self) {
			f(&stats[i])
		}
	}
}

// is walks from s towards the agent until it meets a process whose verdict is known, and
// gives that verdict to all on the way.
func (o *ownership) is(g *Group, s *procfs.Stat, self int) bool {
	o.chain = o.chain[:0]
	pid := s.PID
	verdict := o.verdict[pid]
	for verdict == 0 {
		o.chain = append(o.chain, pid)
		parent, known := o.parent[pid]
		switch {
		case !known || len(o.chain) > len(o.parent): // ended meanwhile, or a loop made by reused PIDs
			verdict = foreign
		case parent == self:
			verdict = o.ofChild(g, pid)
		default:
			pid = parent
			verdict = o.verdict[pid]
		}
	}
	for _, pid := range o.chain {
		o.verdict[pid] = verdict
	}
	return verdict == ours
}

// ofChild judges a child of this process that g did not start: a helper, a child that
// others here made, or an adopted orphan.
func (o *ownership) ofChild(g *Group, pid int) int8 {
	if _, started := children.own[pid]; started {
		return foreign
	}
	s := o.byPID[pid]
	if s.PGRP == syscall.Getpgrp() || children.adopter(s) != g {
		return foreign
	}
	return ours
}
