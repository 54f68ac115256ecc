//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/process/member"
)

// suspendLimit bounds the wait of Suspend for the processes that it has signalled to stop:
// meanwhile the agent acts on nothing else, also not on a request to stop.
const suspendLimit = 2 * time.Second

// Suspend stops every member with SIGSTOP, those included that are being made meanwhile.
// Members that are stopped already stay so when Resume continues the others.
func (g *Group) Suspend() error {
	const most = 200
	sent := map[member.Member]bool{}
	pause := firstPollDelay
	begun := time.Now()
	for range most {
		members, err := g.Members()
		if err != nil {
			if err = g.signalUnlisted(syscall.SIGSTOP, err); err != nil {
				err = fmt.Errorf("suspend the processes of the attempt: %w", err)
			}
			return err
		}
		fresh := g.toSuspend(members)
		if len(fresh) == 0 {
			running := stillRunning(members, sent)
			if len(running) == 0 {
				return nil
			}
			if time.Since(begun) >= suspendLimit {
				return fmt.Errorf("suspend the processes of the attempt: after %s, %d of them have not stopped", suspendLimit, len(running))
			}
			for _, m := range running { // another process may have continued it
				err = errors.Join(err, m.Signal(syscall.SIGSTOP))
			}
			if err != nil {
				return fmt.Errorf("suspend the processes of the attempt: %w", err)
			}
			time.Sleep(pause)
			pause = min(2*pause, pollDelayLimit)
			continue
		}
		for _, m := range fresh {
			err = errors.Join(err, m.Signal(syscall.SIGSTOP))
			sent[m] = true
		}
		if err != nil {
			return fmt.Errorf("suspend the processes of the attempt: %w", err)
		}
	}
	return fmt.Errorf("suspend the processes of the attempt: after %d rounds not all of them have stopped", most)
}

// stillRunning returns the members to which the signal was sent and that have not stopped yet: until
// then one may finish a fork whose child is in no list so far. One that waits inside the kernel (D)
// is not waited for: that may last for ever.
func stillRunning(members []member.Member, sent map[member.Member]bool) (running []member.Member) {
	for _, m := range members {
		state := m.State
		m.State = ""
		if sent[m] && (state == "R" || state == "S") {
			running = append(running, m)
		}
	}
	return running
}

// toSuspend returns the members that are to be stopped, and remembers them.
func (g *Group) toSuspend(members []member.Member) (fresh []member.Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range members {
		stopped := m.State == "T" || m.State == "t"
		m.State = ""
		if g.suspended[m] || stopped {
			continue
		}
		if g.suspended == nil {
			g.suspended = map[member.Member]bool{}
		}
		g.suspended[m] = true
		fresh = append(fresh, m)
	}
	return fresh
}

// noteContinued notes that a member was continued, so that Resume does not send it a second SIGCONT,
// which might come while it acts on a signal that asks it to end.
func (g *Group) noteContinued(m member.Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.State = ""
	delete(g.suspended, m)
}

// Resume continues what Suspend has stopped and no signal has continued since.
func (g *Group) Resume() error {
	g.mu.Lock()
	suspended := g.suspended
	g.suspended = nil
	g.mu.Unlock()
	_, err := g.Members()
	if err != nil {
		err = g.signalUnlisted(syscall.SIGCONT, err)
	}
	for m := range suspended {
		err = errors.Join(err, m.Signal(syscall.SIGCONT))
	}
	if err != nil {
		return fmt.Errorf("continue the processes of the attempt: %w", err)
	}
	return nil
}
