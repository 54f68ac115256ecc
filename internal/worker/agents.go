package worker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

const (
	// unwatchedPause is how often agents are examined that are no children of this process: no
	// signal reports their end.
	unwatchedPause = time.Second
	// unknownLimit is how long an agent counts whose process is not known, because an earlier
	// worker died while it started it: as long as a claim that nobody names may last.
	unknownLimit = 20 * time.Second
)

// system is what a worker needs of its host.
type system interface {
	// start starts an agent, and identifies its process.
	start(s Settings) (pid int, started uint64, err error)
	// started returns when a process started, in a unit of the system; 0 if that is not known.
	started(pid int) uint64
	// ended reports whether a process has ended. reason is why a child of this process did not
	// start the attempt; empty if it did.
	ended(pid int, started uint64) (ended bool, reason string)
	// stop asks a process to end.
	stop(pid int, started uint64) error
	// free is what the host has free; 0 where that is not known.
	free() (memoryBytes int64, cpus *float64)
	// memory returns how much memory the host has; 0 if that is not known.
	memory() int64
	// close waits for what start does beside. Agents live on.
	close()
}

// agent is one that may live.
type agent struct {
	record
	child bool      // of this process
	until time.Time // it counts until then, if its process is not known
}

// ended is an agent that has ended. reason is why it did not start its attempt; empty if it did,
// or that is not known.
type ended struct {
	record
	reason string
	waits  bool // its journal is in the spool
}

// agents are those of the worker.
type agents struct {
	cfg   Config
	state *state
	spool *spool.Spool // nil where it cannot be used
	list  map[string]*agent
}

// findAgents finds those that an earlier worker has left: by its records, and by journals that
// their agents hold.
func findAgents(s *state, c Config) (*agents, error) {
	a := &agents{cfg: c, state: s, list: map[string]*agent{}}
	records, err := s.load()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.BootID != c.BootID {
			s.forget(r) // the host went down since
			continue
		}
		a.list[r.name()] = &agent{record: r, until: time.Now().Add(unknownLimit)}
	}
	if a.spool, err = spool.Open(c.StateDir); err != nil {
		c.Print(err.Error() + "; the journals of runs are kept in memory")
		return a, nil
	}
	a.findInSpool()
	a.check(time.Now())
	return a, nil
}

// findInSpool adds the agents whose journals are in use and that are not known.
func (a *agents) findInSpool() {
	names, err := a.spool.Names()
	if err != nil {
		a.cfg.Print(err.Error())
	}
	for _, name := range names {
		e, there := a.spool.Entry(name)
		if !there || e.Err != nil || e.Meta.Worker == "" || e.Meta.PID == 0 || !a.spool.InUse(e) {
			continue
		}
		r := record{Run: e.Meta.Run, Attempt: e.Meta.Attempt, Job: e.Meta.Job, PID: e.Meta.PID, BootID: a.cfg.BootID, At: time.Now()}
		if known := a.list[name]; known != nil && known.PID != 0 {
			continue
		} else if known != nil {
			r.Claim, r.At = known.Claim, known.At
		}
		r.Started = a.cfg.system.started(r.PID)
		a.list[name] = &agent{record: r}
	}
}

func (a *agents) has(run string, attempt int) bool {
	return a.list[run+"."+strconv.Itoa(attempt)] != nil
}

// start starts the agent of a claim, which ends at until by clock.SinceBoot.
func (a *agents) start(c job.Claim, until time.Duration, now time.Time) error {
	r := record{Claim: c.Claim, Run: c.Run, Attempt: c.Attempt, Job: c.Job, BootID: a.cfg.BootID, At: now}
	if err := a.state.save(r); err != nil {
		return err
	}
	s := a.cfg.Settings
	s.Claim, s.Worker, s.Until = c, a.cfg.Name, int64(until)
	var err error
	if r.PID, r.Started, err = a.cfg.system.start(s); err != nil {
		a.state.forget(r)
		return fmt.Errorf("the agent could not be started: %w", err)
	}
	a.list[r.name()] = &agent{record: r, child: true}
	if err := a.state.save(r); err != nil {
		a.cfg.Print(err.Error()) // the next worker finds it by its journal
	}
	return nil
}

// check returns the agents that have ended since, and forgets them.
func (a *agents) check(now time.Time) (gone []ended) {
	unknown := false
	for _, name := range slices.Sorted(maps.Keys(a.list)) {
		g := a.list[name]
		var is bool
		var reason string
		if g.PID == 0 {
			is, unknown = !now.Before(g.until), true
		} else {
			is, reason = a.cfg.system.ended(g.PID, g.Started)
		}
		if !is {
			continue
		}
		waits := a.journaled(g.record)
		if waits {
			reason = "" // it had its permit
		}
		delete(a.list, name)
		a.state.forget(g.record)
		gone = append(gone, ended{g.record, reason, waits})
	}
	if unknown && a.spool != nil {
		a.findInSpool()
	}
	return gone
}

// journaled reports whether the spool has the journal of an agent: it has got its permit.
func (a *agents) journaled(r record) bool {
	return a.spool != nil && a.spool.Has(r.Run, r.Attempt)
}

// report returns the claims of agents without a permit, and the attempts of those that have one.
func (a *agents) report() (starting []string, running []job.AttemptRef) {
	for _, name := range slices.Sorted(maps.Keys(a.list)) {
		g := a.list[name]
		if a.journaled(g.record) || g.Claim == "" {
			running = append(running, job.AttemptRef{Run: g.Run, Attempt: g.Attempt})
		} else {
			starting = append(starting, g.Claim)
		}
	}
	return starting, running
}

// anyUnwatched reports whether there is an agent that is no child of this process.
func (a *agents) anyUnwatched() bool {
	for _, g := range a.list {
		if !g.child {
			return true
		}
	}
	return false
}

// stop asks all agents to stop their jobs.
func (a *agents) stop() {
	for _, g := range a.list {
		if g.PID == 0 {
			continue
		}
		if err := a.cfg.system.stop(g.PID, g.Started); err != nil {
			a.cfg.Print(fmt.Sprintf("the agent of %s could not be asked to stop: %v", g.Job, err))
		}
	}
}
