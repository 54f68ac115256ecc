package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/job"
)

const (
	besideAgents = 64                     // send heartbeats beside starts
	besidePause  = 320 * time.Millisecond // between two of one agent: 200 a second
	besideStarts = 1000                   // a second, if the server does as many
	idleRuns     = 200
	heldPolls    = 1000
	heldSpan     = 15 * time.Second // less than the server holds a request
)

// restarted measures the start of a server with a full queue, and then heartbeats with and without starts beside them.
// The server has both cores, which it shares with agents and workers.
func (b *bench) restarted(on host.Database) ([]row, error) {
	begun := time.Now()
	s, err := b.Stint(on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	first, err := fleet.NewWorker(s.Address, "first", 1)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	claims, err := first.Claim(1)
	serving := time.Since(begun).Seconds()
	if err == nil && len(claims) == 1 {
		err = first.Attempt(claims[0])
	}
	if err != nil || len(claims) != 1 {
		return nil, fmt.Errorf("%d runs were given after a restart: %w", len(claims), errors.Join(err, host.ErrNoFigure))
	}
	rows, err := b.besideStarts(s)
	return append([]row{{what: "… restarted: the first run is given after", unit: "s", measured: serving, most: 1}}, rows...), err
}

// besideStarts compares heartbeats beside starts with heartbeats alone, in turns.
func (b *bench) besideStarts(s *host.Service) ([]row, error) {
	workers, err := newWorkers(s)
	if err != nil {
		return nil, err
	}
	paths := make([]string, besideAgents)
	for i := range paths {
		if paths[i], err = begin(s.Address, i); err != nil {
			return nil, err
		}
	}
	wires, err := connect(s, paths)
	defer hangUp(wires)
	if err != nil {
		return nil, err
	}
	var p50s, p99s [2][]float64
	var rate []float64
	span := b.span / 2
	for range max(3, b.rounds/2) {
		for with := range 2 {
			started := make(chan error, 1)
			n := with * int(besideStarts*span.Seconds())
			go func() {
				took, err := fleet.Start(workers, n, besideStarts)
				if n > 0 {
					rate = append(rate, float64(n)/took.Seconds())
				}
				started <- err
			}()
			ms, err := fleet.Beats(wires, paths, span, besidePause)
			if err := errors.Join(err, <-started); err != nil {
				return nil, err
			}
			slices.Sort(ms)
			p50s[with], p99s[with] = append(p50s[with], median(ms)), append(p99s[with], p99(ms))
		}
	}
	what := fmt.Sprintf("… heartbeats beside %.0f starts a second, against none: the middle one takes", median(rate))
	return []row{
		{what: what, unit: "ms", yardstick: median(p50s[0]), measured: median(p50s[1])},
		{what: "… 99 of 100", unit: "ms", yardstick: median(p99s[0]), measured: median(p99s[1])},
	}, nil
}

// idleQueue measures a server whose queue is empty.
func (b *bench) idleQueue(on host.Database, commit float64) ([]row, error) {
	empty, err := on.Other("empty")
	if err != nil {
		return nil, err
	}
	s, err := b.Stint(empty)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	one, err := fleet.Wait(s.Address, 1)
	if err != nil {
		return nil, err
	}
	given, err := one.Submit(idleRuns)
	one.Leave()
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("an empty queue, %s: ", on.Name)
	rows := []row{{what: what + "from submit until a worker has the run, the middle one, against 3 rows of the loop and 2 ms", unit: "ms", yardstick: 3*commit + 2, measured: median(given), mostRatio: 1}}
	for _, part := range []func() ([]row, error){
		func() ([]row, error) { return b.realWorker(s) },
		func() ([]row, error) { return b.held(empty, s) },
	} {
		more, err := part()
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// held measures what many workers cost that wait for runs.
func (b *bench) held(on host.Database, s *host.Service) ([]row, error) {
	if err := s.WaitIdle(30 * time.Second); err != nil {
		return nil, err
	}
	idle, err := b.writes(on, s)
	if err != nil {
		return nil, err
	}
	before, err := host.MemoryMB(s.PID(), false)
	if err != nil {
		return nil, err
	}
	many, err := fleet.Wait(s.Address, heldPolls)
	if err != nil {
		return nil, err
	}
	defer many.Leave()
	written, werr := b.writes(on, s)
	after, aerr := host.MemoryMB(s.PID(), false)
	given, gerr := many.Submit(idleRuns / 4)
	if err := errors.Join(werr, aerr, gerr); err != nil {
		return nil, err
	}
	return []row{
		{what: fmt.Sprintf("… %d workers wait: memory of the server beyond that without them", heldPolls), unit: "MB", measured: after - before, most: 60},
		{what: fmt.Sprintf("… what is written to the disk while they wait, %s, against none", heldSpan), unit: "kB", yardstick: max(idle, 0.001), measured: written, most: 1},
		{what: "… from submit until one of them has the run, the middle one", unit: "ms", measured: median(given)},
	}, nil
}

// writes returns how many kB a server and its database write in heldSpan.
func (b *bench) writes(on host.Database, s *host.Service) (float64, error) {
	before, err := on.Written(b.Host, s)
	if err != nil {
		return 0, err
	}
	<-time.After(heldSpan)
	after, err := on.Written(b.Host, s)
	return (after - before) / 1e3, err
}

// realWorker measures real programs: a worker, the agents that it starts, and stint submit.
func (b *bench) realWorker(s *host.Service) ([]row, error) {
	worker := b.Command([]string{b.Program("stint-agent"), "worker", "run", "--server", s.URL(), "--name", "real", "--slots", "4", "--allow-commands"})
	worker.Env = append(worker.Env, "STINT_STATE="+filepath.Join(b.Dir, "worker"), "HOME="+b.Dir)
	if err := worker.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = worker.Process.Signal(syscall.SIGTERM) // it then ends, because it has no agents
		_ = worker.Wait()
	}()
	started, err := b.untilExec(s)
	if err != nil {
		return nil, err
	}
	var waited []float64
	for range idleRuns / 4 {
		ms, err := b.Time([]string{b.Program("stint"), "submit", "--server", s.URL(), "--job", "waited", "--dir", b.Dir, "--wait", "--", "true"})
		if err != nil {
			return nil, err
		}
		waited = append(waited, ms)
	}
	peak, err := host.MemoryMB(worker.Process.Pid, true)
	return []row{
		{what: "… from submit until the job executes, the middle one", unit: "ms", measured: median(started), most: 25},
		{what: "… 99 of 100", unit: "ms", measured: p99(started), most: 60},
		{what: "… stint submit --wait -- true, the middle one", unit: "ms", measured: median(waited), most: 60},
		{what: "… memory of the worker at the end", unit: "MB", measured: peak, most: 20},
	}, err
}

// untilExec returns how many ms passed from each submission until the job's own first instruction.
func (b *bench) untilExec(s *host.Service) (ms []float64, err error) {
	file := filepath.Join(b.Dir, "stamps")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, err
	}
	wire, err := fleet.Dial(s.Address)
	if err != nil {
		return nil, err
	}
	defer wire.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 1; n <= idleRuns; n++ {
		begun := time.Now()
		if err := wire.Submit(fleet.RunID(begun, n), job.SubmitRequest{Job: "stamped", Command: &job.Spec{Args: []string{b.Program("stamp"), file}, Dir: b.Dir}}); err != nil {
			return nil, err
		}
		for late := begun.Add(time.Minute); ; <-tick.C {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if lines := strings.Fields(string(text)); len(lines) == n {
				at, err := strconv.ParseInt(lines[n-1], 10, 64)
				if err != nil {
					return nil, err
				}
				ms = append(ms, float64(at-begun.UnixNano())/1e6)
				break
			}
			if time.Now().After(late) {
				return nil, fmt.Errorf("job %d did not execute within a minute: %w", n, host.ErrNoFigure)
			}
		}
		<-time.After(50 * time.Millisecond) // its agent ends
	}
	return ms, os.Remove(file)
}
