package faulttest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// begin makes a fault and returns how to end it; nil where there is nothing to end.
func (w *world) begin(f fault) (undo func() error, err error) {
	switch f.kind {
	case agentKill:
		w.killAgent()
	case bothKill:
		w.killAgent()
		return w.serverAway(syscall.SIGKILL)
	case serverKill:
		return w.serverAway(syscall.SIGKILL)
	case serverStop:
		return w.serverAway(syscall.SIGTERM)
	case agentPause:
		return pause(w.agent.Process), nil
	case serverPause:
		return pause(w.server.process()), nil
	case agentFull:
		return fill(w.path("state"), f.n%(32<<10))
	case serverFull:
		return fill(w.path("data"), f.n%(256<<10))
	case spoolRemoved:
		if w.hasExited() {
			return nil, nil // what waits there is the only copy
		}
		return nil, removeWhileUsed(w.path("state", "spool"))
	case agentClock:
		return w.stepClock("agent.clock", f.n)
	case serverClock:
		return w.stepClock("server.clock", f.n)
	case postgresDown:
		return w.postgresAway(f.n%2 == 0)
	case linkDown:
		l, err := w.slot.linked()
		if err != nil {
			return nil, err
		}
		return func() error { return l.set("up") }, l.set("down")
	case netCut:
		w.toxic.cut()
		return w.toxic.restore, nil
	case netDelay, netReset, netHalfOpen, netSlow, netLimit, netSlices:
		return w.poison(f)
	case replyLost, twice, tooLate, bodyCut, gateway:
		w.meddler.set(f.kind, f.n)
		return func() error { w.meddler.set("", 0); return nil }, nil
	case bucketHangs:
		end, err := w.bucket.hang()
		w.beside.begin(f.n)
		return func() error { end(); return nil }, err
	case blockDamaged:
		return w.beside.damage(f.n)
	case badHeartbeats:
		w.beside.begin(f.n)
		return w.beside.lie(f.n)
	default:
		return nil, fmt.Errorf("fault %q is not known", f.kind)
	}
	return nil, nil
}

func (w *world) killAgent() {
	if w.hasExited() {
		return
	}
	w.killed.Store(true)
	_ = w.agent.Process.Kill() // it may end by itself at this moment
}

// hasExited reports whether the agent has ended.
func (w *world) hasExited() bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

// serverAway ends the server; the undo begins it again.
func (w *world) serverAway(how syscall.Signal) (func() error, error) {
	if p := w.server.process(); p != nil && how != syscall.SIGKILL {
		_ = p.Signal(syscall.SIGCONT) // one that is paused cannot end in order
	}
	was, err := w.server.down(how)
	if !was {
		return nil, err
	}
	return w.server.up, err
}

func pause(p *os.Process) func() error {
	if p == nil {
		return nil
	}
	_ = p.Signal(syscall.SIGSTOP) // it may have ended
	return func() error { _ = p.Signal(syscall.SIGCONT); return nil }
}

// fill takes all but some bytes of what is free on a disk.
func fill(dir string, leave int) (func() error, error) {
	f, err := os.CreateTemp(dir, "filler-")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zeros := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Truncate(max(0, size-int64(leave)))
	}
	return func() error { return os.Remove(f.Name()) }, err
}

// stepClock sets a clock forward or back, by a second to some days.
func (w *world) stepClock(name string, n int) (func() error, error) {
	steps := []time.Duration{time.Second, 7 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 400 * 24 * time.Hour}
	step := steps[n/2%len(steps)]
	if n%2 == 0 {
		step = -step
	}
	w.record("%s: %s", name, step)
	return func() error { return w.setClock(name, 0) }, w.setClock(name, step)
}

func (w *world) postgresAway(crash bool) (func() error, error) {
	pg, err := w.slot.postgres()
	if err != nil {
		return nil, err
	}
	return pg.Up, pg.Down(crash)
}

// poison makes trouble on the connections through toxiproxy, in one direction or both; one
// kind at a time, for two kinds in one connection may keep toxiproxy from removing either.
func (w *world) poison(f fault) (func() error, error) {
	w.poisoned.Lock()
	what := map[kind]struct{ name, attributes string }{
		netDelay:    {"latency", fmt.Sprintf(`"latency":%d,"jitter":%d`, 20+f.n%400, f.n%100)},
		netReset:    {"reset_peer", fmt.Sprintf(`"timeout":%d`, f.n%100)},
		netHalfOpen: {"timeout", `"timeout":0`},
		netSlow:     {"bandwidth", fmt.Sprintf(`"rate":%d`, 5+f.n%200)},
		netLimit:    {"limit_data", fmt.Sprintf(`"bytes":%d`, 1+f.n%(64<<10))},
		netSlices:   {"slicer", fmt.Sprintf(`"average_size":%d,"size_variation":20,"delay":10`, 30+f.n%2000)},
	}[f.kind]
	directions := [][]string{{"upstream"}, {"downstream"}, {"upstream", "downstream"}}[f.n%3]
	var undo []func()
	for _, d := range directions {
		name := fmt.Sprintf("%s-%s-%d", what.name, d, f.n)
		end, err := w.toxic.add(name, what.name, d, what.attributes)
		if err != nil {
			w.poisoned.Unlock()
			return nil, err
		}
		undo = append(undo, end)
	}
	return func() error {
		defer w.poisoned.Unlock()
		for _, end := range undo {
			end()
		}
		return nil
	}, nil
}

// harmless are the faults that keep no answer of the server from the agent.
var harmless = []kind{agentKill, agentFull, spoolRemoved, agentClock, serverClock, bucketHangs, blockDamaged, badHeartbeats, twice, netSlices}

// play makes all faults at their times and ends them, and returns when the world is well
// again.
func (w *world) play() {
	var all sync.WaitGroup
	for _, f := range w.s.faults {
		all.Go(func() {
			<-time.After(time.Until(w.began.Add(f.at)))
			w.record("begin: %s", f.kind)
			begin := w.begin
			if w.queue != nil {
				begin = w.queue.begin
			}
			undo, err := begin(f)
			made, _ := tally.made.LoadOrStore(f.kind, new(atomic.Int64))
			made.(*atomic.Int64).Add(1)
			if err != nil {
				w.t.Errorf("%s: %v", f, err)
			}
			if undo == nil {
				return
			}
			<-time.After(f.last)
			if err := undo(); err != nil {
				w.t.Errorf("end of %s: %v", f, err)
			}
			w.record("ended: %s", f.kind)
			if !slices.Contains(harmless, f.kind) {
				w.mu.Lock()
				w.outageOver = time.Now()
				w.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// removeWhileUsed removes a directory in which an agent may make one more file while that goes on.
func removeWhileUsed(dir string) (err error) {
	for range 100 {
		if err = os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return err
}
