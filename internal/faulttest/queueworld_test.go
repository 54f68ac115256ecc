package faulttest

import (
	"bytes"
	"context"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// retryLimit is how many further attempts a run of these schedules has.
const retryLimit = 3

// withheldLimit is longer than a worker is not offered a definition of which it has lost claims.
const withheldLimit = 12 * time.Minute

// groupName is the group of the runs that have one.
const groupName = "g"

// definitionOf is the definition of a job. Each attempt appends a line to the file TRACE when it starts, and
// one when it ends by itself.
func definitionOf(name string, grouped bool) string {
	text := `job: ` + name + `
script: |
  echo "start $STINT_RUN_ID $STINT_ATTEMPT" >> "$TRACE"
  echo "attempt $STINT_ATTEMPT begins"
  sleep "$LASTS"
  echo "attempt $STINT_ATTEMPT ends"
  echo "end $STINT_RUN_ID $STINT_ATTEMPT" >> "$TRACE"
  if [ "$STINT_ATTEMPT" -gt "$FAILS" ]; then exit 0; fi
  exit "$CODE"
parameters:
  - {name: TRACE, type: text}
  - {name: LASTS, type: number}
  - {name: FAILS, type: integer}
  - {name: CODE, type: integer}
retries: {limit: ` + strconv.Itoa(retryLimit) + `, backoff: 200ms, hold: 0s}
`
	if grouped {
		text += "group: " + groupName + "\n"
	}
	return text
}

// jobName is the name of a copy of one of the two definitions.
func jobName(grouped bool, n int) string {
	if grouped {
		return fmt.Sprintf("grouped-%d", n)
	}
	return fmt.Sprintf("work-%d", n)
}

// jobs are the names of the jobs, and whether they belong to the group.
func (p queuePlan) jobs() map[string]bool {
	all := map[string]bool{}
	for n := range max(p.copies, 1) {
		all[jobName(false, n)], all[jobName(true, n)] = false, true
	}
	return all
}

// queueWorld is a world whose runs are submitted.
type queueWorld struct {
	*world
	workers []*workerProcess
	second  *serverProcess // another server on the same database; nil for none
	states  []string       // the state directories of workers

	// restored says that the database was replaced by an older copy, when the trace had restoredAt lines.
	restored   atomic.Bool
	restoredAt int
	ended      int // so many of the first runs had ended when they were looked at

	logsMu sync.Mutex
	logs   []string // of workers, and of the agents that they start

	runsMu sync.Mutex
	runs   []*submittedRun
	byID   map[string]*submittedRun
}

// submittedRun is a run of the schedule, and what was ordered about it.
type submittedRun struct {
	id   string
	plan runPlan
	// canceled and retried say that somebody asked for it, whether or not an answer came. They are set before.
	canceled, retried bool
}

// add adds a run to those of the world.
func (w *queueWorld) add(plan runPlan) *submittedRun {
	w.runsMu.Lock()
	defer w.runsMu.Unlock()
	r := &submittedRun{id: newRun(), plan: plan}
	w.runs, w.byID[r.id] = append(w.runs, r), r
	return r
}

func (w *queueWorld) knows(run string) bool {
	w.runsMu.Lock()
	defer w.runsMu.Unlock()
	return w.byID[run] != nil
}

// playQueue plays a schedule with a queue.
func playQueue(t *testing.T, s schedule, sl *slot) {
	w := &queueWorld{world: newWorld(t, s, sl), byID: map[string]*submittedRun{}}
	w.queue = w
	w.prepare()
	w.began = time.Now()
	var submitting sync.WaitGroup
	for _, r := range w.runs {
		submitting.Go(func() { w.submit(r) })
	}
	w.play()
	w.heal()
	submitting.Wait()
	w.waitAllEnded()
	if w.meddler != nil {
		w.meddler.late.Wait() // what arrives too late must change nothing
	}
	w.verifyQueue()
	if took := time.Since(w.began); took > 3*slow/2 {
		fmt.Printf("faults: slow, %s: %s\n%s\n", took.Round(ms), s, strings.Join(w.story, "\n"))
	}
}

// prepare applies the definitions, starts the workers, and makes the ids of the runs.
func (w *queueWorld) prepare() {
	w.t.Helper()
	ctx := w.t.Context()
	if err := os.Mkdir(w.path("definitions"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	var in api.ApplyRequest
	for name, grouped := range w.s.queue.jobs() {
		text := definitionOf(name, grouped)
		in.Files = append(in.Files, api.ApplyFile{Name: name + ".yaml", YAML: text})
		if err := os.WriteFile(w.path("definitions", name+".yaml"), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.api.Apply(ctx, in); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.api.SetGroup(ctx, groupName, w.s.queue.limit); err != nil {
		w.t.Fatal(err)
	}
	for _, plan := range w.s.queue.runs {
		w.add(plan)
	}
	w.startSecondServer()
	for n, plan := range w.s.queue.workers {
		p := &workerProcess{w: w, plan: plan, name: fmt.Sprintf("w%d", n), url: "http://" + w.server.address}
		switch {
		case plan.routed:
			p.url = w.agentURL
		case w.second != nil && n%2 == 1:
			p.url = "http://" + w.second.address
		}
		p.state = w.stateDir(p.name)
		w.workers = append(w.workers, p)
		if err := p.up(); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.s.has(sameName) {
		w.stateDir("namesake")
	}
	w.t.Cleanup(w.endAll)
}

// startSecondServer starts another server on the same database, if the schedule has one.
func (w *queueWorld) startSecondServer() {
	if !w.s.queue.second {
		return
	}
	n, err := freePort()
	if err != nil {
		w.t.Fatal(err)
	}
	w.second = &serverProcess{w: w.world, address: fmt.Sprintf("127.0.0.1:%d", n), access: w.server.access, place: w.server.place}
	w.second.wantUp()
	w.t.Cleanup(w.second.end)
}

func (w *queueWorld) stateDir(name string) string {
	dir := w.path("state-" + name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.states = append(w.states, dir)
	return dir
}

// endAll kills what is left of a schedule that failed.
func (w *queueWorld) endAll() {
	for _, p := range w.workers {
		p.kill()
	}
	for _, p := range w.processes(nil) {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// submit submits a run, as often as it takes.
func (w *queueWorld) submit(r *submittedRun) {
	wait(w.t.Context(), time.Until(w.began.Add(r.plan.at)))
	req := job.SubmitRequest{
		Job: jobName(r.plan.grouped, r.plan.copy), Priority: r.plan.priority, DelayMS: r.plan.delay.Milliseconds(), By: "ada",
		Parameters: map[string]string{
			"TRACE": w.path("trace"), "LASTS": fmt.Sprint(r.plan.lasts.Seconds()), "FAILS": strconv.Itoa(r.plan.fails), "CODE": strconv.Itoa(r.plan.code),
		},
	}
	if r.plan.after >= 0 {
		first := w.runs[r.plan.after]
		w.insist("the run before another one is known", func() error {
			_, err := w.api.Run(w.t.Context(), first.id)
			if w.restored.Load() {
				return nil
			}
			return err
		})
		req.After = []job.Dependency{{Run: first.id, When: r.plan.when}}
	}
	w.insist("submit a run", func() error { _, err := w.api.Submit(w.t.Context(), r.id, req); return w.neverIfImpossible(err) })
	w.record("submitted: %s", r.id)
	tally.submitted.Add(1)
}

// neverIfImpossible returns nil for a submission that the server refused because the run that it depends on has
// ended otherwise already, or that the database lost when it was restored.
func (w *queueWorld) neverIfImpossible(err error) error {
	var p *job.Problem
	if !errors.As(err, &p) {
		return err
	}
	if strings.Contains(p.Error(), "can never be met") || w.restored.Load() && p.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// insist calls something until it succeeds.
func (w *queueWorld) insist(what string, do func() error) {
	begun := time.Now()
	for {
		err := do()
		if err == nil || w.t.Context().Err() != nil {
			return
		}
		if time.Since(begun) > patience {
			w.t.Errorf("%s: %v", what, err)
			return
		}
		wait(w.t.Context(), 100*ms)
	}
}

// heal undoes what may be left of the faults: processes that live go on by themselves.
func (w *queueWorld) heal() {
	w.server.wantUp()
	if w.second != nil {
		w.second.wantUp()
	}
	ctx := w.t.Context()
	w.insist("set the group's limit", func() error { _, err := w.api.SetGroup(ctx, groupName, w.s.queue.limit); return err })
	for _, p := range w.workers {
		if err := p.up(); err != nil {
			w.t.Error(err)
		}
	}
	for _, p := range w.workers {
		w.insist("resume a worker", func() error {
			_, err := w.api.ResumeWorker(ctx, p.name)
			var problem *job.Problem
			if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
				return nil // it never reached the server
			}
			return err
		})
	}
}

// workerProcess is a worker, and what starts it again.
type workerProcess struct {
	w                *queueWorld
	plan             workerPlan
	name, state, url string

	mu  sync.Mutex
	cmd *exec.Cmd // nil while it is down
}

// command is the worker's, under a service manager that cannot be reached, so that its agents outlive it.
func (p *workerProcess) command(name, state, url string) *exec.Cmd {
	program := "stint-agent"
	if p.plan.stint {
		program = "stint"
	}
	args := []string{"worker", "run", "--server", url, "--name", name, "--slots", strconv.Itoa(p.plan.slots)}
	if p.plan.local {
		args = append(args, "--definitions", p.w.path("definitions"))
	}
	cmd := exec.Command(p.w.program(program, agentClock), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.w.path("home"), "STINT_STATE=" + state, "NOTIFY_SOCKET=" + p.w.path("manager"), "GORACE=halt_on_error=1"}
	return cmd
}

// start starts a worker whose messages go to a log.
func (w *queueWorld) start(cmd *exec.Cmd, name string) error {
	w.logsMu.Lock()
	if name += ".log"; !slices.Contains(w.logs, name) {
		w.logs = append(w.logs, name)
	}
	w.logsMu.Unlock()
	log, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	return errors.Join(cmd.Start(), log.Close())
}

func (p *workerProcess) up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && !gone(p.cmd.Process.Pid) {
		return nil
	}
	if p.cmd != nil {
		err := p.cmd.Wait()
		p.w.t.Errorf("worker %s has ended by itself: %v", p.name, err)
	}
	p.cmd = p.command(p.name, p.state, p.url)
	return p.w.start(p.cmd, p.name)
}

// down ends the worker with a signal. In good order it must end soon, with exit code 0.
func (p *workerProcess) down(how syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	cmd := p.cmd
	p.cmd = nil
	if how != syscall.SIGKILL {
		_ = cmd.Process.Signal(syscall.SIGCONT) // one that is paused cannot end in order
	}
	_ = cmd.Process.Signal(how) // Wait returns the error
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	err := cmd.Wait()
	late.Stop()
	if how == syscall.SIGKILL {
		return nil
	}
	if err != nil {
		err = fmt.Errorf("worker %s, asked to stop, ended with %w", p.name, err)
	}
	return err
}

func (p *workerProcess) kill() { _ = p.down(syscall.SIGKILL) } // no error for this signal

func (p *workerProcess) process() *os.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	return p.cmd.Process
}

// attempts are those whose agents the worker has started, as run.attempt.
func (p *workerProcess) attempts() []string {
	names := []string{}
	entries, _ := os.ReadDir(filepath.Join(p.state, "worker", "agents")) // none before the first
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// attemptProcess is a process of an attempt: its agent, or its job.
type attemptProcess struct {
	pid   int
	name  string // run.attempt
	agent bool
}

// processes finds the processes of the schedule's attempts, of some attempts if any are named.
func (w *queueWorld) processes(only []string) (all []attemptProcess) {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, dir := range dirs {
		p := attemptProcess{}
		p.pid, _ = strconv.Atoi(filepath.Base(dir)) // digits
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if words := strings.Split(string(line), "\x00"); err == nil && len(words) > 3 && words[1] == "attempt" && w.knows(words[2]) {
			p.name, p.agent = words[2]+"."+words[3], true
		} else if env, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil {
			p.name = w.attemptOf(env)
		}
		if p.name != "" && (only == nil || slices.Contains(only, p.name)) {
			all = append(all, p)
		}
	}
	return all
}

// attemptOf is the attempt of a job, by its environment; empty for another process.
func (w *queueWorld) attemptOf(env []byte) string {
	var run, attempt string
	for _, one := range bytes.Split(env, []byte{0}) {
		if v, ok := bytes.CutPrefix(one, []byte("STINT_RUN_ID=")); ok {
			run = string(v)
		}
		if v, ok := bytes.CutPrefix(one, []byte("STINT_ATTEMPT=")); ok {
			attempt = string(v)
		}
	}
	if !w.knows(run) {
		return ""
	}
	return run + "." + attempt
}

// waitAllEnded waits until every run has ended, and nothing of them is left on the hosts.
func (w *queueWorld) waitAllEnded() {
	w.t.Helper()
	before := ""
	for begun := time.Now(); ; wait(w.t.Context(), 100*ms) {
		if w.restored.Load() {
			w.releaseHeld()
		}
		left := w.left()
		if left == "" {
			return
		}
		if left != before && time.Since(w.began) > slow/2 {
			w.record("%s", left)
		}
		before = left
		limit := patience
		if w.s.queue.plain {
			limit = withheldLimit
		}
		if time.Since(begun) > limit {
			w.t.Fatalf("%s after all was well: %s", limit, left)
		}
	}
}

// left says what keeps the schedule from its end; empty for nothing.
func (w *queueWorld) left() string {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for ; w.ended < len(w.runs); w.ended++ { // most have ended when they are looked at again
		if text := w.leftOf(ctx, w.runs[w.ended]); text != "" {
			return text
		}
	}
	if alive := w.processes(nil); len(alive) > 0 {
		return fmt.Sprintf("processes are left: %+v", alive)
	}
	for _, state := range w.states {
		if files := spooledIn(state); len(files) > 0 {
			w.flushState(state)
			return fmt.Sprintf("the spool holds %v", files)
		}
	}
	for _, r := range w.runs {
		if text := w.leftOf(ctx, r); text != "" {
			return text
		}
	}
	return ""
}

// leftOf says what keeps a run from its end; empty for nothing.
func (w *queueWorld) leftOf(ctx context.Context, r *submittedRun) string {
	run, err := w.api.Run(ctx, r.id)
	var p *job.Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusNotFound && (r.plan.after >= 0 || w.restored.Load()):
		return "" // it could never be met when it was submitted, or is lost with the database
	case err != nil:
		return err.Error()
	case !run.State.Terminal():
		return fmt.Sprintf("run %s is %s in attempt %d; the queue: %s", r.id, run.State, run.Attempt, w.queueText(ctx))
	}
	return ""
}

// queueText is what waits in the queue, and why.
func (w *queueWorld) queueText(ctx context.Context) string {
	page, err := w.api.Queue(ctx, client.QueueQuery{Limit: 20})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, one := range page.Runs {
		fmt.Fprintf(&b, "%s attempt %d, worker %q:", one.Run, one.Attempt, one.Worker)
		for _, g := range one.Gates {
			fmt.Fprintf(&b, " %s (%s)", g.Gate, g.Text)
		}
		b.WriteString("; ")
	}
	return b.String()
}

// spooledIn lists the journals in a state directory, but for those without a name, which an agent leaves that
// is killed while it makes or removes one.
func spooledIn(state string) []string {
	files, _ := filepath.Glob(filepath.Join(state, "spool", "*")) // the pattern is good
	return slices.DeleteFunc(files, func(p string) bool { return strings.HasPrefix(filepath.Base(p), ".new-") })
}

// flushState delivers what a state directory holds, by a process of its own.
func (w *queueWorld) flushState(state string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program("stint-agent", agentClock), "flush", "--server", "http://"+w.server.address)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.path("home"), "STINT_STATE=" + state}
	out, err := cmd.CombinedOutput()
	w.record("flush %s: %v: %s", filepath.Base(state), err, out)
}
