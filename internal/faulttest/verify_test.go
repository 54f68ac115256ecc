package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/faulttest/sequence"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// verify looks at everything after the schedule, and returns how many bytes it compared.
func (w *world) verify() int64 {
	done, incomplete := w.marked("done"), w.mayBeIncomplete()
	killed := w.killed.Load() && w.agent.ProcessState.ExitCode() < 0
	if text, err := os.ReadFile(w.path("marks", "trouble")); err == nil {
		w.t.Errorf("the job could not print: %s", text)
	}
	want := w.s.job.code
	if want == 0 && w.notPassedOn() > 0 {
		want = 125 // the agent owed its reader what it had no room for
	}
	if code := w.agent.ProcessState.ExitCode(); !killed && code != want {
		w.t.Errorf("the agent ended with %d, the job with %d", code, w.s.job.code)
	}
	r, err := w.api.Run(context.Background(), w.run)
	var problem *job.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		if incomplete {
			return w.checkPassedOn(sequence.Bytes(w.s.seed, "stdout", w.s.job.stdout), false)
		}
		if !killed || w.marked("begun") {
			w.t.Errorf("the server does not know the run, whose job ran: %v", err)
		}
		return 0
	}
	if err != nil {
		w.t.Errorf("ask for the run: %v", err)
		return 0
	}
	lost := w.checkOutcome(r, killed || incomplete, done)
	if lost {
		tally.lost.Add(1)
	}
	if len(r.Output.Gaps) > 0 {
		tally.gaps.Add(1)
	}
	compared := w.checkOutput(r, lost) + w.checkFollower()
	w.checkJournal(r)
	w.checkEvents(r)
	return compared
}

// mayBeIncomplete reports whether the server may lack records of the run, or all of them, although
// its agent was not killed: its spool was removed, and the server had not answered once when the job
// ended, so that the agent waited for a second at most. Requests may have arrived without an answer.
func (w *world) mayBeIncomplete() bool {
	done, err := os.Stat(w.path("marks", "done"))
	if err != nil || !w.s.has(spoolRemoved) {
		return false
	}
	text, err := os.ReadFile(w.path("agent.err"))
	return err == nil && done.ModTime().Before(w.outageOver) &&
		strings.Contains(string(text), "was not delivered, and what could not be written to the disk is lost")
}

func (w *world) marked(name string) bool {
	_, err := os.Stat(w.path("marks", name))
	return err == nil
}

// checkOutcome compares the outcome with what is known to have happened, and reports whether
// the attempt was lost.
func (w *world) checkOutcome(r job.Run, killed, done bool) bool {
	if r.Outcome == nil {
		w.t.Errorf("the run is %s and has no outcome", r.State)
		return killed
	}
	o := *r.Outcome
	state := job.Succeeded
	if w.s.job.code != 0 {
		state = job.Failed
	}
	asItEnded := r.State == state && o.State == state && o.Reason == job.ExitCode && o.ExitCode != nil && *o.ExitCode == w.s.job.code
	asLost := r.State == job.Lost && o.State == job.Lost && o.Reason == job.AgentLost
	switch {
	case asItEnded && (done || !killed):
		return false
	case asLost && killed:
		return true
	}
	w.t.Errorf("the run is %s, outcome %+v; agent killed: %v, job done: %v, its code %d", r.State, o, killed, done, w.s.job.code)
	return asLost
}

// checkOutput compares every byte of both streams of all steps.
func (w *world) checkOutput(r job.Run, lost bool) (compared int64) {
	type printed struct {
		step   int
		stream job.Stream
		want   []byte
	}
	p := w.s.job
	all := []printed{
		{0, job.Stdout, sequence.Bytes(w.s.seed, "stdout", p.stdout)},
		{0, job.Stderr, sequence.Bytes(w.s.seed, "stderr", p.stderr)},
	}
	if p.install {
		all[0].step, all[1].step = 1, 1
		all = append(all,
			printed{0, job.Stdout, sequence.Bytes(w.s.seed+1, "stdout", installOut)},
			printed{0, job.Stderr, sequence.Bytes(w.s.seed+1, "stderr", installErr)})
	}
	var stored, gaps int64
	for _, one := range all {
		got := w.log(one.step, one.stream)
		covered, err := compare(one.want, got, gapsOf(r, one.step, one.stream))
		if err == nil && covered != len(one.want) && !lost {
			err = fmt.Errorf("it ends after %d of %d bytes", covered, len(one.want))
		}
		if err != nil {
			w.t.Errorf("step %d, %s: %v", one.step, one.stream, err)
		}
		compared += int64(len(got))
		stored += int64(len(got))
	}
	for _, g := range r.Output.Gaps {
		gaps += g.Bytes
	}
	if r.Output.Bytes != stored && r.Output.Bytes != stored+gaps {
		w.t.Errorf("the run counts %d bytes; the log has %d, the gaps %d", r.Output.Bytes, stored, gaps)
	}
	if whole := len(r.Output.Gaps) == 0 && !(lost && w.mayBeIncomplete()); r.Output.Complete != whole {
		w.t.Errorf("output complete: %v, with gaps %v", r.Output.Complete, r.Output.Gaps)
	}
	if gaps > 0 && !w.gapsAllowed() {
		w.t.Errorf("%d bytes were dropped, and nothing in this schedule is a reason: %+v", gaps, r.Output.Gaps)
	}
	return compared + w.checkPassedOn(all[0].want, lost)
}

// gapsAllowed reports whether anything in the schedule may have cost output.
func (w *world) gapsAllowed() bool {
	return w.s.smallDisk || w.s.job.spoolLimit > 0 || w.s.has(agentFull, spoolRemoved)
}

// checkPassedOn looks at what the agent passed on to its own stdout, and that it had written it
// down before.
func (w *world) checkPassedOn(want []byte, lost bool) int64 {
	got, err := os.ReadFile(w.path("agent.out"))
	if err != nil {
		w.t.Error(err)
		return 0
	}
	if w.s.job.install {
		want = append(sequence.Bytes(w.s.seed+1, "stdout", installOut), want...)
	}
	if w.s.job.quiet {
		want = nil
	}
	if err := passedOn(want, got, w.killed.Load(), w.notPassedOn(), w.s.job.spoolLimit); err != nil {
		w.t.Errorf("the agent's own stdout: %v", err)
	}
	if lost && !w.gapsAllowed() {
		if kept := int64(len(w.log(-1, job.Stdout))); kept < int64(len(got)) {
			w.t.Errorf("the agent passed on %d bytes of stdout, and of its journal %d arrived", len(got), kept)
		}
	}
	return int64(len(got))
}

func (w *world) log(step int, stream job.Stream) []byte { return w.logOf(w.run, step, stream) }

func (w *world) logOf(run string, step int, stream job.Stream) []byte {
	var b bytes.Buffer
	q := client.LogQuery{Stream: string(stream)}
	if step >= 0 {
		q.Step = fmt.Sprint(step)
	}
	err := w.api.Log(context.Background(), &b, run, q, false)
	var problem *job.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return nil // the step never began
	}
	if err != nil {
		w.t.Errorf("read the log of step %d, %s: %v", step, stream, err)
	}
	return b.Bytes()
}

func gapsOf(r job.Run, step int, stream job.Stream) []job.Gap {
	var out []job.Gap
	for _, g := range r.Output.Gaps {
		if g.Step == step && g.Stream == stream {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b job.Gap) int { return int(a.AtBytes - b.AtBytes) })
	return out
}

// compare checks that got is want without the gaps, and returns how many bytes of want are
// accounted for.
func compare(want, got []byte, gaps []job.Gap) (covered int, err error) {
	for _, g := range gaps {
		from, to := int(g.AtBytes), int(g.AtBytes+g.Bytes)
		if from < covered || to < from || to > len(want) {
			return covered, fmt.Errorf("gap %+v does not fit after byte %d of %d", g, covered, len(want))
		}
		n := from - covered
		if len(got) < n || !bytes.Equal(got[:n], want[covered:from]) {
			return covered, fmt.Errorf("before gap %+v: differs at byte %d", g, covered+difference(want[covered:from], got))
		}
		if lines := int64(bytes.Count(want[from:to], []byte{'\n'})); g.Lines != lines {
			return covered, fmt.Errorf("gap %+v counts %d lines; there were %d", g, g.Lines, lines)
		}
		got, covered = got[n:], to
	}
	if !bytes.HasPrefix(want[covered:], got) {
		return covered, fmt.Errorf("differs at byte %d, %d bytes stored after byte %d", covered+difference(want[covered:], got), len(got), covered)
	}
	return covered + len(got), nil
}

func difference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// checkJournal reads the journal itself: it is whole, and its digest is that of its outcome.
func (w *world) checkJournal(r job.Run) {
	resp, err := http.Get(fmt.Sprintf("http://%s/api/v1/runs/%s/attempts/%d/journal?offset=0", w.server.address, w.run, r.Attempt))
	if err != nil {
		w.t.Errorf("read the journal: %v", err)
		return
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(data) < journal.HeaderSize {
		w.t.Errorf("read the journal: HTTP %d, %d bytes, %v", resp.StatusCode, len(data), err)
		return
	}
	digest := journal.NewDigester()
	digest.Header(data[:journal.HeaderSize])
	for at := journal.HeaderSize; at < len(data); {
		rec, n, err := journal.Next(data[at:], int64(at))
		if err != nil {
			w.t.Errorf("the stored journal at byte %d of %d: %v", at, len(data), err)
			return
		}
		if rec.Type == journal.TypeOutcome {
			var final journal.Final
			if err := journal.Decode(rec, &final); err != nil || final.Bytes != int64(at) || final.Digest != digest.Sum() || at+n != len(data) {
				w.t.Errorf("the outcome at byte %d of %d speaks of %d bytes, digest %s; it is %s (%v)", at, len(data), final.Bytes, final.Digest, digest.Sum(), err)
			}
			return
		}
		digest.Record(data[at : at+n])
		at += n
	}
	if r.State != job.Lost || !w.mayBeIncomplete() {
		w.t.Error("the stored journal has no outcome")
	}
}

// checkEvents looks at the history: it ends where the run is, and only lost was ever left.
func (w *world) checkEvents(r job.Run) {
	events, err := w.api.Events(context.Background(), w.run)
	if err != nil {
		w.t.Errorf("ask for the events: %v", err)
		return
	}
	var states []job.State
	for _, e := range events {
		if e.Kind == "state" {
			states = append(states, job.State(e.To))
		}
	}
	if len(states) == 0 || states[len(states)-1] != r.State {
		w.t.Errorf("the run is %s; its history: %v", r.State, states)
	}
	for i, s := range states[:max(0, len(states)-1)] {
		if s == job.Lost {
			tally.healed.Add(1)
		}
		if s.Terminal() && s != job.Lost {
			w.t.Errorf("the run left %s: %v (%d)", s, states, i)
		}
	}
}

// checkNothingLeft looks for files in the spool and for processes of the run.
func (w *world) checkNothingLeft() {
	if left := w.spooled(); len(left) > 0 {
		w.t.Errorf("the spool still holds %v", left)
	}
	for deadline := time.Now().Add(patience); ; <-time.After(50 * ms) {
		alive := living("STINT_RUN_ID=" + w.run)
		if len(alive) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("processes of the run are left: %v", alive)
			return
		}
	}
}

// spooled lists what is left in the spool.
func (w *world) spooled() []string {
	left, _ := filepath.Glob(w.path("state", "spool", "*")) // the pattern is good
	if w.killed.Load() {
		// An agent killed while it makes or removes its journal leaves one without a name,
		// which is removed when it is an hour old.
		left = slices.DeleteFunc(left, func(p string) bool { return strings.HasPrefix(filepath.Base(p), ".new-") })
	}
	return left
}

// living lists processes that have a variable in their environment.
func living(variable string) []string {
	var out []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is good
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), variable) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")) // gone meanwhile: no name
			out = append(out, fmt.Sprintf("%s %q", filepath.Base(filepath.Dir(file)), line))
		}
	}
	return out
}
