package overlap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/signals"
)

// turn is how the wait for the lock ended.
type turn struct {
	guard *Guard
	err   error // of the directory
}

// await waits until it is the start's turn. A signal ends the wait, and with it the start.
func (p *place) await(ctx context.Context, behind Holder) (*Guard, error) {
	events := signals.New(p.Signals)
	go events.Run()
	defer events.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stopped sync.Mutex // held while the process is suspended, which must not have the directory locked
	came := make(chan turn, 1)
	go func() { came <- p.untilTurn(ctx, &stopped) }()
	for {
		select {
		case t := <-came:
			return p.begin(t, behind, events)
		case <-ctx.Done():
			return nil, p.leave(cancel, came, behind, syscall.SIGTERM)
		case e := <-events.Events():
			switch e.Action {
			case signals.Begin, signals.Hangup:
				return nil, p.leave(cancel, came, behind, e.Signal)
			case signals.Suspend:
				if p.SuspendSelf != nil {
					stopped.Lock()
					p.SuspendSelf(e.Signal)
					stopped.Unlock()
				}
			}
		}
	}
}

// untilTurn checks again and again whether it is the start's turn.
func (p *place) untilTurn(ctx context.Context, stopped *sync.Mutex) turn {
	for {
		now := time.Now()
		stopped.Lock()
		err := p.advance(now)
		stopped.Unlock()
		if err != nil || p.guard != nil {
			return turn{p.guard, err}
		}
		timer := time.NewTimer(pollPause(now.Sub(p.asked)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return turn{err: ctx.Err()}
		}
	}
}

// pollPause returns the pause between two checks of a start that has waited for a while: one system call
// each, whatever the number of those that wait.
func pollPause(waited time.Duration) time.Duration {
	return min(max(waited/20, 10*time.Millisecond), 500*time.Millisecond)
}

// begin returns the guard of a start whose turn it is, unless a signal has asked it to end.
func (p *place) begin(t turn, behind Holder, events *signals.Owner) (*Guard, error) {
	for e, ok := events.Poll(); ok; e, ok = events.Poll() {
		if e.Action == signals.Begin || e.Action == signals.Hangup {
			return nil, p.drop(t, behind, e.Signal)
		}
	}
	if t.err != nil {
		return p.unguarded(t.err), nil
	}
	t.guard.pending = append(t.guard.pending, fmt.Sprintf("the start waited %s for its turn (--overlap queue), behind %s",
		time.Since(p.asked).Round(time.Second), behind.name()))
	return t.guard, nil
}

// leave ends the wait of a start that a signal has asked to end.
func (p *place) leave(cancel func(), came <-chan turn, behind Holder, sig syscall.Signal) error {
	cancel()
	t, err := bounded.Call(releaseLimit, func() (turn, error) { return <-came, nil })
	if err != nil {
		return p.stopped(behind, sig) // the kernel gives the ticket back when the process ends
	}
	return p.drop(t, behind, sig)
}

// drop gives the ticket back, and returns how the process ends.
func (p *place) drop(t turn, behind Holder, sig syscall.Signal) error {
	if t.guard != nil {
		t.guard.Release()
	} else {
		bounded.Do(releaseLimit, func() { _ = p.dir.giveBack(p.name, p.file) }) // the kernel does when the process ends
	}
	return p.stopped(behind, sig)
}

// stopped returns how the process of a start ends that a signal has asked to end: of that signal.
func (p *place) stopped(behind Holder, sig syscall.Signal) error {
	e := &NotStartedError{
		Code: 128 + int(sig), Die: sig,
		Text: fmt.Sprintf("job %s was not started: stopped while it waited for %s to end", p.Job, behind.name()),
	}
	if os.Getpid() == 1 {
		e.Die = 0 // the kernel lets no signal end the init of a container
	}
	return e
}

// giveBack removes a ticket and gives its lock back.
func (d directory) giveBack(name string, file *os.File) error {
	err := d.locked(func() error { return os.Remove(d.path(name)) })
	return errors.Join(err, unlock(file))
}
