package faulttest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"stint.dev/stint/job"
)

// begin makes a fault and returns how to end it; nil where there is nothing to end.
func (w *queueWorld) begin(f fault) (undo func() error, err error) {
	worker := w.workers[f.n%len(w.workers)]
	switch f.kind {
	case workerKill:
		worker.kill()
		return worker.up, nil
	case workerUpgrade:
		within(5*time.Second, worker.hasBegun) // before, a signal ends it at once
		err := worker.down(syscall.SIGTERM)
		worker.plan.stint = !worker.plan.stint // another program takes over
		return nil, errors.Join(err, worker.up())
	case workerPause:
		return pause(worker.process()), nil
	case allKill:
		for _, p := range w.workers {
			p.kill()
		}
		up, err := w.serverAway(syscall.SIGKILL)
		if w.second != nil {
			_, downErr := w.second.down(syscall.SIGKILL)
			err = errors.Join(err, downErr)
		}
		return func() (err error) {
			if up != nil {
				err = up()
			}
			if w.second != nil {
				err = errors.Join(err, w.second.up())
			}
			for _, p := range w.workers {
				err = errors.Join(err, p.up())
			}
			return err
		}, err
	case secondKill:
		_, err := w.second.down(syscall.SIGKILL)
		return w.second.up, err
	case oneAgentKill, oneAgentPause:
		return w.oneAgent(f), nil
	case hostKill:
		w.awaitAgent(worker.attempts)
		w.killHost(worker)
		return worker.up, nil
	case hostFrozen:
		w.awaitAgent(worker.attempts)
		return w.freeze(worker), nil
	case flushBeside:
		return w.flushMany(worker), nil
	case secondWorker:
		return nil, w.startSecond(worker)
	case sameName:
		return w.startNamesake(worker)
	case manyOrders:
		return w.orderMuch(worker, f.n), nil
	case limitLowered:
		w.say("lower the limit", func() error { _, err := w.api.SetGroup(w.t.Context(), groupName, f.n%2); return err })
		return func() error {
			w.say("raise the limit", func() error { _, err := w.api.SetGroup(w.t.Context(), groupName, w.s.queue.limit); return err })
			return nil
		}, nil
	case restoredCopy:
		return w.restore()
	case serverClock:
		step := 24 * time.Hour
		if f.n%2 == 0 {
			step = -step
		}
		w.record("the server's clock: %s", step)
		return func() error { return w.setClock("server.clock", 0) }, w.setClock("server.clock", step)
	case fileChanged:
		return w.changeFiles()
	}
	if m, ok := meddled[f.kind]; ok {
		return w.meddle(f, m.only, m.mode), nil
	}
	return w.world.begin(f)
}

// say calls something that may fail, because the server may be away.
func (w *queueWorld) say(what string, do func() error) { w.record("%s: %v", what, do()) }

// meddled are the faults of requests of one kind.
var meddled = map[kind]struct {
	only func(*http.Request) bool
	mode kind
}{
	claimLost: {isClaim, replyLost}, claimLate: {isClaim, held}, claimTwice: {isClaim, twice}, claimTooLate: {isClaim, tooLate},
	permitLost: {isPermit, replyLost}, permitLate: {isPermit, held}, permitTwice: {isPermit, twice}, permitTooLate: {isPermit, tooLate},
	permitFrozen: {isPermit, held},
}

func isClaim(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/claims") }

func isPermit(r *http.Request) bool { return r.Header.Get(job.HeaderIncarnation) != "" }

// meddle treats requests of one kind badly, until undo is called.
func (w *queueWorld) meddle(f fault, only func(*http.Request) bool, mode kind) (undo func() error) {
	var mu sync.Mutex
	var frozen []int
	over := false
	answered := func(r *http.Request, n int) {
		if f.kind != permitFrozen {
			<-time.After(time.Duration(100+n%1700) * ms)
			return
		}
		words := strings.Split(r.URL.Path, "/") // /api/v1/runs/RUN/attempts/N/journal
		mu.Lock()
		defer mu.Unlock()
		if over || len(words) < 7 {
			return
		}
		for _, p := range w.processes([]string{words[4] + "." + words[6]}) {
			_ = syscall.Kill(p.pid, syscall.SIGSTOP) // it may have ended
			frozen = append(frozen, p.pid)
			w.record("frozen with its permit: %s", p.name)
		}
	}
	w.meddler.setFor(only, mode, f.n, answered)
	return func() error {
		w.meddler.set("", 0)
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, pid := range frozen {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
		}
		return nil
	}
}

// awaitAgent waits until there is an agent of some attempts, of any if there are none named, but not for long.
func (w *queueWorld) awaitAgent(attempts func() []string) {
	within(3*time.Second, func() bool {
		return slices.ContainsFunc(w.processes(attempts()), func(p attemptProcess) bool { return p.agent })
	})
}

// oneAgent kills or pauses one of the agents that live.
func (w *queueWorld) oneAgent(f fault) (undo func() error) {
	w.awaitAgent(func() []string { return nil })
	var agents []attemptProcess
	for _, p := range w.processes(nil) {
		if p.agent {
			agents = append(agents, p)
		}
	}
	if len(agents) == 0 {
		return nil
	}
	p := agents[f.n/7%len(agents)]
	w.record("%s: %s", f.kind, p.name)
	if f.kind == oneAgentKill {
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended
		return nil
	}
	_ = syscall.Kill(p.pid, syscall.SIGSTOP) // it may have ended
	return func() error { _ = syscall.Kill(p.pid, syscall.SIGCONT); return nil }
}

// killHost kills a worker, its agents and their jobs, as a power failure does that leaves the disk as it is.
func (w *queueWorld) killHost(worker *workerProcess) {
	worker.kill()
	for range 2 { // the second time what was being started
		for _, p := range w.processes(worker.attempts()) {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended
		}
	}
}

// freeze stops a worker, its agents and their jobs, until undo is called.
func (w *queueWorld) freeze(worker *workerProcess) (undo func() error) {
	var pids []int
	stop := func() {
		for _, p := range w.processes(worker.attempts()) {
			_ = syscall.Kill(p.pid, syscall.SIGSTOP) // it may have ended
			pids = append(pids, p.pid)
		}
	}
	cont := pause(worker.process())
	stop()
	stop() // what was being started
	w.record("frozen: %s, %v", worker.name, pids)
	return func() error {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
		}
		if cont != nil {
			return cont()
		}
		return nil
	}
}

// flushMany delivers what waits on a host again and again, beside worker and agents, until undo is called.
func (w *queueWorld) flushMany(worker *workerProcess) (undo func() error) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * ms):
				w.flushState(worker.state)
			}
		}
	}()
	return func() error { close(stop); <-done; return nil }
}

// startSecond starts another worker in a state directory. While the first one lives it must refuse to work.
func (w *queueWorld) startSecond(worker *workerProcess) error {
	worker.mu.Lock() // nobody starts or ends the first one meanwhile
	defer worker.mu.Unlock()
	if worker.cmd == nil || gone(worker.cmd.Process.Pid) {
		return nil
	}
	if !within(500*ms, func() bool { return isLockedBy(worker.state, worker.cmd.Process) }) {
		return nil // it has not begun
	}
	out, err := w.output(worker.command("second", worker.state, worker.url))
	if err == nil || !bytes.Contains(out, []byte("another worker")) {
		return fmt.Errorf("a second worker in one state directory: %v: %s", err, out)
	}
	return nil
}

// isLockedBy reports whether a worker has locked its state directory: it works.
func isLockedBy(state string, worker *os.Process) bool {
	text, _ := os.ReadFile(filepath.Join(state, "worker", "lock")) // none before the first
	return strings.TrimSpace(string(text)) == strconv.Itoa(worker.Pid)
}

func (p *workerProcess) hasBegun() bool {
	process := p.process()
	return process != nil && isLockedBy(p.state, process)
}

// within waits until something holds, for some time at most, and reports whether it does.
func within(limit time.Duration, is func() bool) bool {
	for begun := time.Now(); time.Since(begun) < limit; <-time.After(20 * ms) {
		if is() {
			return true
		}
	}
	return false
}

// output runs a program that must end soon.
func (w *queueWorld) output(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	return out.Bytes(), err
}

// startNamesake starts another worker with the name of one, on another host, until undo is called.
func (w *queueWorld) startNamesake(worker *workerProcess) (undo func() error, err error) {
	cmd := worker.command(worker.name, w.path("state-namesake"), "http://"+w.server.address)
	if err := w.start(cmd, "namesake"); err != nil {
		return nil, err
	}
	return func() error {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return nil
	}, nil
}

// orderMuch drains a worker, cancels a run and retries one, all at once.
func (w *queueWorld) orderMuch(worker *workerProcess, n int) (undo func() error) {
	ctx := w.t.Context()
	cancel, retry := w.runs[n/3%len(w.runs)], w.runs[n/5%len(w.runs)]
	cancel.canceled, retry.retried = true, true
	var all sync.WaitGroup
	all.Go(func() {
		w.say("drain "+worker.name, func() error {
			_, err := w.api.DrainWorker(ctx, worker.name, job.DrainRequest{By: "ada", DeadlineMS: int64(n%2) * 300})
			return err
		})
	})
	all.Go(func() {
		w.say("cancel "+cancel.id, func() error { _, err := w.api.Cancel(ctx, cancel.id, "ada", "not needed"); return err })
	})
	all.Go(func() {
		w.say("retry "+retry.id, func() error { _, err := w.api.Retry(ctx, retry.id, "ada", "once more"); return err })
	})
	all.Wait()
	return func() error {
		w.say("resume "+worker.name, func() error { _, err := w.api.ResumeWorker(ctx, worker.name); return err })
		return nil
	}
}

// changeFiles changes the definitions on the disk of the workers that run no others, until undo is called.
func (w *queueWorld) changeFiles() (undo func() error, err error) {
	write := func(more string) (err error) {
		for name, grouped := range w.s.queue.jobs() {
			err = errors.Join(err, os.WriteFile(w.path("definitions", name+".yaml"), []byte(definitionOf(name, grouped)+more), 0o644))
		}
		return err
	}
	return func() error { return write("") }, write("description: changed\n")
}
