package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// trace is what the attempts of a schedule have written themselves.
type trace struct {
	starts, ends map[string]int // the place of the first line, by run.attempt
}

// startedAgain is an attempt that started at one line, and at a later one.
type startedAgain struct {
	name         string
	first, later int
}

// readTrace reads the file to which attempts append, and returns what is wrong with it, and the attempts that started
// twice.
func readTrace(text []byte) (t trace, twice []startedAgain, wrong []string) {
	t = trace{map[string]int{}, map[string]int{}}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var what, run, attempt string
		if line == "" {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %s %s", &what, &run, &attempt); err != nil {
			wrong = append(wrong, fmt.Sprintf("line %d is %q", n+1, line))
			continue
		}
		name := run + "." + attempt
		places, known := map[string]map[string]int{"start": t.starts, "end": t.ends}[what]
		if !known {
			wrong = append(wrong, fmt.Sprintf("line %d is %q", n+1, line))
			continue
		}
		switch before, known := t.starts[name]; {
		case what == "end" && !known:
			wrong = append(wrong, fmt.Sprintf("attempt %s ended and had not started", name))
		case what == "start" && known:
			twice = append(twice, startedAgain{name, before, n})
		}
		if _, known := places[name]; !known {
			places[name] = n
		}
	}
	return t, twice, wrong
}

// verifyQueue looks at everything after the schedule.
func (w *queueWorld) verifyQueue() {
	text, err := os.ReadFile(w.path("trace"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Error(err)
	}
	t, twice, wrong := readTrace(text)
	for _, one := range wrong {
		w.t.Error(one)
	}
	for _, one := range twice {
		if !w.mayRunAgain(one, text) {
			w.t.Errorf("attempt %s started twice, in lines %d and %d of the trace\n%s", one.name, one.first+1, one.later+1, text)
		}
	}
	tally.started.Add(int64(len(t.starts)))
	for _, r := range w.runs {
		w.verifyRun(r, t)
	}
	w.checkPlaces()
	w.checkServer()
	for _, name := range w.logs {
		w.checkLog(name)
	}
}

// finalRun is a run with its history.
type finalRun struct {
	*submittedRun
	job.Run
	events []job.RunEvent
}

func (r finalRun) wasLost() bool {
	return slices.ContainsFunc(r.events, func(e job.RunEvent) bool { return e.To == string(job.Lost) })
}

// read reads a run; known is false for one that could never start because the run before it had ended otherwise.
func (w *queueWorld) read(r *submittedRun) (f finalRun, known bool) {
	run, err := w.api.Run(context.Background(), r.id)
	var p *job.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound && (r.plan.when == "succeeded" || w.restored.Load()) {
		return f, false
	}
	events, eventsErr := w.api.Events(context.Background(), r.id)
	if err := errors.Join(err, eventsErr); err != nil {
		w.t.Errorf("read run %s: %v", r.id, err)
		return f, false
	}
	return finalRun{r, run, events}, true
}

// verifyRun compares what became of a run with its plan and with what its attempts have written.
func (w *queueWorld) verifyRun(r *submittedRun, t trace) {
	f, known := w.read(r)
	if !known || f.Submitted == nil && w.restored.Load() { // an agent delivered what the database did not know
		return
	}
	if why := f.wrongOutcome(w.s, t); why != "" {
		w.t.Errorf("run %s, planned as %+v, canceled %v, retried %v, is %s in attempt %d, outcome %+v: %s\n%s",
			r.id, r.plan, r.canceled, r.retried, f.State, f.Attempt, f.Outcome, why, historyText(f.events))
	}
	if f.Attempt > 1 && f.wasLost() {
		tally.retried.Add(1)
	}
	for name := range t.starts {
		var attempt int
		if run, n, _ := strings.Cut(name, "."); run == r.id {
			if _, err := fmt.Sscan(n, &attempt); err != nil || attempt > f.Attempt {
				w.t.Errorf("attempt %s started, and the run is in attempt %d", name, f.Attempt)
			}
		}
	}
	for n := 1; n <= f.Attempt; n++ {
		w.checkAttemptLog(f, n, t)
	}
	w.checkHistory(f)
	w.checkNoJournal(r.id, f.Attempt+1)
	w.checkOrder(f, t)
}

func historyText(events []job.RunEvent) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "  %s %s attempt %d: %s → %s (%s) %s\n", e.At.Format("15:04:05.000"), e.Clock, e.Attempt, e.From, e.To, e.Rule, e.Evidence)
	}
	return b.String()
}

// silencing are the faults that may make the server call an attempt lost whose agent lives.
var silencing = []kind{
	serverKill, serverStop, serverPause, allKill, netCut, netDelay, netReset, netHalfOpen, netLimit, replyLost, tooLate, bodyCut, gateway, oneAgentPause,
	hostFrozen, permitFrozen, oneAgentKill, postgresDown, secondKill, hostKill, restoredCopy, permitLost, permitLate, permitTooLate, serverClock, twice,
}

// wrongOutcome says what is wrong with the end of a run; empty for nothing.
func (r finalRun) wrongOutcome(s schedule, t trace) string {
	if r.Outcome == nil || r.Outcome.State != r.State {
		return "the outcome is that of another state"
	}
	name := fmt.Sprintf("%s.%d", r.id, r.Attempt)
	_, started := t.starts[name]
	_, ended := t.ends[name]
	code := 0
	if r.Attempt <= r.plan.fails {
		code = r.plan.code
	}
	more := r.Attempt <= retryLimit && !r.canceled // another attempt follows a bad end
	switch o := r.Outcome; {
	case r.State == job.Succeeded, r.State == job.Failed && o.Reason == job.ExitCode:
		switch {
		case o.ExitCode == nil || *o.ExitCode != code || !ended:
			return fmt.Sprintf("its job ends with %d, and it has ended: %v", code, ended)
		case r.State == job.Failed && more:
			return "another attempt had to follow"
		}
	case r.State == job.Lost && (o.Reason == job.AgentLost || o.Reason == job.AgentStopped):
		switch {
		case !s.has(silencing...):
			return "nothing in this schedule is a reason to lose an agent"
		case more:
			return "another attempt had to follow"
		}
	case r.State == job.Canceled && o.Reason == job.Evicted:
		if !s.has(manyOrders) || more {
			return "no worker had to give it up for good"
		}
	case r.State == job.Canceled && r.Attempt == 0 && r.Submitted.Reason != "":
		if r.plan.after < 0 || r.plan.when != "succeeded" {
			return "it depends on nothing"
		}
	case r.State == job.Canceled:
		if !r.canceled {
			return "nobody canceled it"
		}
	case r.State == job.Failed && o.Reason == job.CouldNotStart:
		if started && !r.wasLost() || !strings.Contains(o.Message, "claims ended without a start") {
			return "it could be started"
		}
	default:
		return "no run of this schedule ends like this"
	}
	return ""
}

// checkAttemptLog compares the log of an attempt with what it printed.
func (w *queueWorld) checkAttemptLog(f finalRun, n int, t trace) {
	var b bytes.Buffer
	err := w.api.Log(context.Background(), &b, f.id, client.LogQuery{Attempt: n, Stream: "stdout"}, false)
	var p *job.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		err = nil // the step never began
	}
	name := fmt.Sprintf("%s.%d", f.id, n)
	_, ended := t.ends[name]
	want := fmt.Sprintf("attempt %d begins\nattempt %d ends\n", n, n)
	whole := ended && n == f.Attempt && f.Outcome != nil && f.Outcome.Reason == job.ExitCode
	if err != nil || !strings.HasPrefix(want, b.String()) || whole && b.String() != want {
		w.t.Errorf("the log of attempt %s is %q: %v", name, b.String(), err)
	}
}

// checkHistory looks at the events: they end where the run is.
func (w *queueWorld) checkHistory(f finalRun) {
	last := ""
	for _, e := range f.events {
		if e.Kind == "state" {
			if from := e.From; last != "" && from != last && from != "" {
				w.t.Errorf("run %s: its history has a gap between %s and %s\n%s", f.id, last, from, historyText(f.events))
			}
			last = e.To
		}
	}
	if last != string(f.State) {
		w.t.Errorf("run %s is %s; its history:\n%s", f.id, f.State, historyText(f.events))
	}
}

// checkNoJournal checks that the server keeps nothing of an attempt that has no permit.
func (w *queueWorld) checkNoJournal(run string, attempt int) {
	body, err := w.api.Journal(context.Background(), run, attempt, 0)
	var p *job.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return
	}
	if err == nil {
		_ = body.Close()
	}
	w.t.Errorf("the server has a journal of attempt %d of run %s, which nobody had a permit for: %v", attempt, run, err)
}

// checkOrder checks that a run began after the end of the run that it depends on, if that ended by itself and
// once.
func (w *queueWorld) checkOrder(f finalRun, t trace) {
	if f.plan.after < 0 {
		return
	}
	first, known := w.read(w.runs[f.plan.after])
	if !known || first.canceled || first.retried || first.wasLost() {
		return
	}
	end, ended := t.ends[fmt.Sprintf("%s.%d", first.id, first.Attempt)]
	start, started := t.starts[f.id+".1"]
	neverStarted := first.Attempt == 0 && first.State.Terminal() // what it depends on had ended otherwise
	if started && !neverStarted && (!ended || start < end) {
		w.t.Errorf("run %s started at %v before the run %s that it depends on had ended at %v; their histories:\n%s\n%s", f.id, start, first.id, end, historyText(f.events), historyText(first.events))
	}
	if f.plan.when == "succeeded" && started && first.State != job.Succeeded {
		w.t.Errorf("run %s started, and run %s has not succeeded", f.id, first.id)
	}
}

// checkPlaces checks that nothing that is over has a place in a group or a slot of a worker.
func (w *queueWorld) checkPlaces() {
	var groups []job.Group
	var workers []job.WorkerInfo
	taken := func() bool {
		var err, werr error
		groups, err = w.api.Groups(context.Background())
		workers, werr = w.api.Workers(context.Background())
		return errors.Join(err, werr) != nil || slices.ContainsFunc(groups, func(g job.Group) bool { return g.Active+g.Waiting > 0 }) ||
			slices.ContainsFunc(workers, func(i job.WorkerInfo) bool { return i.Claimed+i.Active > 0 })
	}
	for begun := time.Now(); taken(); wait(w.t.Context(), 100*ms) {
		if time.Since(begun) > patience/6 {
			w.t.Errorf("places are taken, and nothing runs: groups %+v, workers %+v", groups, workers)
			return
		}
	}
	if page, err := w.api.Queue(context.Background(), client.QueueQuery{}); err != nil || page.Queued > 0 {
		w.t.Errorf("the queue has %+v: %v", page, err)
	}
}

// checkServer lets the server's own check look at everything: each attempt had one permit.
func (w *queueWorld) checkServer() {
	cmd := exec.Command(w.serverProgram(), append([]string{"server", "check"}, w.server.place...)...)
	cmd.Env = append(w.environment("server.clock"), bucketKeys...)
	if out, err := w.output(cmd); err != nil {
		w.t.Errorf("stint server check: %v\n%s", err, out)
	}
}

// An attempt that started twice is seen, and one that ended without a start.
func TestReadTrace(t *testing.T) {
	for text, want := range map[string]struct{ twice, wrong int }{
		"": {}, "start a 1\nend a 1\nstart a 2\n": {}, "start a 1\nstart b 1\nstart a 1\n": {1, 0}, "end a 1\n": {0, 1}, "start a\n": {0, 1}, "stop a 1\n": {0, 1},
	} {
		if _, twice, wrong := readTrace([]byte(text)); len(twice) != want.twice || len(wrong) != want.wrong {
			t.Errorf("%q: %v, %v", text, twice, wrong)
		}
	}
}
