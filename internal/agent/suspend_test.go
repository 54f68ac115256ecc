package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/job"
)

// fakeProcess is a process that can be stopped, as far as signals show that.
type fakeProcess struct {
	in chan os.Signal

	mu      sync.Mutex
	stopped bool
	pending []syscall.Signal // while it is stopped
	cont    chan struct{}    // closed when it is continued
	last    syscall.Signal   // SIGTSTP or SIGCONT
}

// kill sends a signal to the process as the kernel does: a stopped process gets it when it is
// continued, and SIGCONT drops a signal that stops it.
func (p *fakeProcess) kill(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sig == syscall.SIGTSTP || sig == syscall.SIGCONT {
		p.last = sig
	}
	if !p.stopped {
		p.in <- sig
		return
	}
	if !slices.Contains(p.pending, sig) {
		p.pending = append(p.pending, sig)
	}
	if sig != syscall.SIGCONT {
		return
	}
	p.pending = slices.DeleteFunc(p.pending, func(s syscall.Signal) bool { return s == syscall.SIGTSTP })
	slices.Sort(p.pending)
	for _, sig := range p.pending {
		p.in <- sig
	}
	p.stopped, p.pending = false, nil
	close(p.cont)
}

// stop is the SuspendSelf of the process.
func (p *fakeProcess) stop(syscall.Signal) {
	p.mu.Lock()
	if p.last == syscall.SIGCONT {
		p.mu.Unlock()
		return
	}
	p.stopped, p.cont = true, make(chan struct{})
	cont := p.cont
	p.mu.Unlock()
	<-cont
}

func (p *fakeProcess) isStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// slowServer answers heartbeats after a time.
type slowServer struct{ delay time.Duration }

func (s slowServer) Append(context.Context, string, int, int64, []byte) (job.AppendReply, error) {
	return job.AppendReply{}, errors.New("nothing is appended here")
}

func (s slowServer) Beat(ctx context.Context, _ string, _ int, _ job.Heartbeat) (job.HeartbeatReply, error) {
	select {
	case <-time.After(s.delay):
		return job.HeartbeatReply{}, nil
	case <-ctx.Done():
		return job.HeartbeatReply{}, ctx.Err()
	}
}

// sequences are all sequences of two and of three of some signals.
func sequences(of ...syscall.Signal) (all [][]syscall.Signal) {
	for _, a := range of {
		for _, b := range of {
			all = append(all, []syscall.Signal{a, b})
			for _, c := range of {
				all = append(all, []syscall.Signal{a, b, c})
			}
		}
	}
	return all
}

// The last SIGTSTP or SIGCONT decides whether the agent is suspended, whatever comes between them
// and however long the last heartbeat takes; stop requests and SIGHUP that come meanwhile are not lost.
func TestLastJobControlSignalDecides(t *testing.T) {
	for _, gap := range []time.Duration{-1, 0, 300 * time.Millisecond, 3 * time.Second} { // -1: not even a goroutine runs between two
		for _, delay := range []time.Duration{0, 800 * time.Millisecond, time.Hour} {
			t.Run(fmt.Sprintf("%v apart, heartbeat %v", gap, delay), func(t *testing.T) {
				for _, seq := range sequences(syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) {
					synctest.Test(t, func(t *testing.T) { checkSequence(t, seq, gap, delay) })
				}
			})
		}
	}
}

func checkSequence(t *testing.T, seq []syscall.Signal, gap, delay time.Duration) {
	p := &fakeProcess{in: make(chan os.Signal, 64)}
	c := Config{Signals: p.in, SuspendSelf: p.stop}.withDefaults()
	c, end := c.withEvents()
	defer end()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	close(ready)
	beats := &delivery.Heartbeats{
		Server: slowServer{delay}, Run: testRun, Attempt: 1, Period: time.Hour, Begun: time.Now(), Link: c.link, Ready: ready,
		Evidence: func(time.Time) job.Heartbeat { return job.Heartbeat{} }, Reply: func(job.HeartbeatReply) {},
		Suspender: make(delivery.Suspender),
	}
	var events []signals.Event
	var running sync.WaitGroup
	running.Go(func() { beats.Send(ctx) })
	running.Go(func() {
		for {
			select {
			case e := <-c.events.Events():
				if e.Action == signals.Suspend {
					missed, _ := c.suspendAgent(e.Signal, beats.Suspender)
					events = append(events, missed...)
				} else {
					events = append(events, e)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	<-time.After(10 * time.Second) // the first heartbeat was answered, or the link is not reached
	for _, sig := range seq {
		p.kill(sig)
		if gap >= 0 {
			<-time.After(gap)
			synctest.Wait()
		}
	}
	<-time.After(10 * time.Second)
	want := false
	for _, sig := range seq {
		want = sig == syscall.SIGTSTP || want && sig != syscall.SIGCONT
	}
	if p.isStopped() != want {
		t.Errorf("%v: stopped is %v", seq, !want)
	}
	if p.isStopped() {
		p.kill(syscall.SIGCONT)
		<-time.After(10 * time.Second)
	}
	if p.isStopped() {
		t.Errorf("%v: not continued", seq)
		p.kill(syscall.SIGCONT)
	}
	cancel()
	running.Wait()
	came := func(a signals.Action) bool {
		return slices.ContainsFunc(events, func(e signals.Event) bool { return e.Action == a })
	}
	stop := slices.Contains(seq, syscall.SIGTERM) || slices.Contains(seq, syscall.SIGINT)
	if came(signals.Begin) != stop || came(signals.Hangup) != slices.Contains(seq, syscall.SIGHUP) {
		t.Errorf("%v: events %+v", seq, events)
	}
}
