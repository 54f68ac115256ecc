package watch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
)

// Sweep kills the processes that remain of an attempt whose agent died, and returns them: those
// that have the attempt's mark in their environment or are in one of its cgroups. The
// watcher has done this already, unless it was killed together with the agent. It reads
// every process of the host, so it belongs beside a job and not before it. The caller
// makes sure that the attempt has no living agent. The error is a *member.DeniedError for processes
// that this user may not kill.
func Sweep(run string, attempt int) (killed []member.Member, err error) {
	const rounds = 20
	spared := ancestors()
	var denied member.DeniedError
	for clean, round := 0, 0; clean < 2 && round < rounds; round++ {
		found, scanErr := Survivors(run, attempt, spared)
		if scanErr != nil {
			return killed, fmt.Errorf("list what attempt %d of run %s left behind: %w", attempt, run, scanErr)
		}
		fresh := 0
		for _, m := range found {
			if slices.ContainsFunc(denied.Processes, func(d member.Denied) bool { return d.PID == m.PID }) {
				continue
			}
			sigErr := m.Signal(syscall.SIGKILL)
			if errors.Is(sigErr, syscall.EPERM) {
				denied.Add(m)
				continue
			}
			err = errors.Join(err, sigErr)
			if !slices.ContainsFunc(killed, func(k member.Member) bool { return k.PID == m.PID && k.StartedTicks == m.StartedTicks }) {
				fresh++
				killed = append(killed, m)
			}
		}
		if err != nil {
			return killed, err
		}
		// A process that is just replacing its program shows no environment for a moment,
		// so one round that finds none is not enough.
		if clean++; fresh > 0 {
			clean = 0
		}
	}
	return killed, denied.OrNil()
}

// ancestors returns this process and those above it: an agent that was itself started with
// the mark in its environment must not end itself or its caller.
func ancestors() map[int]bool {
	above := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !above[pid]; {
		above[pid] = true
		var s procfs.Stat
		if procfs.ReadStat(pid, &s) != nil {
			break
		}
		pid = s.PPID
	}
	return above
}

// Survivors lists the living processes of an attempt, found by their mark and their cgroup among all
// of the host, without those whose PIDs are spared.
func Survivors(run string, attempt int, spared map[int]bool) ([]member.Member, error) {
	var scanner procfs.Scanner
	if err := scanner.Scan(); err != nil {
		return nil, err
	}
	var found []member.Member
	marks, leaf := member.MarksOf(run, attempt), contain.LeafName(run, attempt)
	for i := range scanner.Stats {
		s := &scanner.Stats[i]
		if s.Dead() || spared[s.PID] {
			continue
		}
		if marks.In(member.Environ(s.PID)) || contain.IsInLeaf(s.PID, leaf) {
			found = append(found, member.Of(s))
		}
	}
	return found, nil
}
