package rules

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// newWaiting is a run that waits since noon for a worker that could take it.
func newWaiting(change ...func(*queue.WaitingRun)) queue.WaitingRun {
	w := queue.WaitingRun{
		Run: "r", Job: "report", State: job.Queued, Since: noon, Line: queue.Line{Job: "report"},
		Supply: queue.Supply{Workers: 1, Matching: 1, Slots: 1}, AbleUntil: at(1e6),
	}
	for _, c := range change {
		c(&w)
	}
	return w
}

func TestJudgeWaiting(t *testing.T) {
	const hour, grace = 3600, 90
	occurrence := func(w *queue.WaitingRun) { w.Occurrence = true }
	wanted := func(w *queue.WaitingRun) { w.Since = time.Time{} }
	ofGroup := func(w *queue.WaitingRun) { w.Gate, w.Line.Group = queue.Full, "warehouse" }
	unable := func(last float64) func(*queue.WaitingRun) {
		return func(w *queue.WaitingRun) {
			w.Supply, w.Selector = queue.Supply{Workers: 3}, queue.Selector{Requires: map[string]string{"gpu": "true"}}
			w.AbleUntil = time.Time{}
			if last != 0 {
				w.AbleUntil = at(last)
			}
		}
	}
	started := func(s float64) func(*queue.WaitingRun) {
		return func(w *queue.WaitingRun) { w.JobStarted = at(s) }
	}
	found := func(w *queue.WaitingRun) {
		w.Health = job.Warning
		w.Findings = []job.Finding{{Rule: policy.Waiting, Health: job.Warning, Since: at(hour), Evidence: "It has waited."}}
	}
	by := func(s float64) func(*queue.WaitingRun) {
		return func(w *queue.WaitingRun) { end := at(s); w.StartBy = &end }
	}
	for _, c := range []struct {
		name     string
		run      queue.WaitingRun
		now      float64
		since    float64 // of the server
		rules    string
		want     string // "", "warning", "over"
		changed  bool
		evidence string
		next     job.NextCode
		notify   string
	}{
		{name: "just before an hour", run: newWaiting(), now: hour - 1, since: -1e4},
		{name: "an hour", run: newWaiting(), now: hour, since: -1e4, want: "warning", changed: true, evidence: "for a worker since 2026-03-04 12:00:00 UTC.", notify: "waiting"},
		{name: "a place in a group", run: newWaiting(ofGroup), now: hour, since: -1e4, want: "warning", changed: true, evidence: `for a place in group "warehouse" since`, notify: "waiting"},
		{name: "an occurrence just before 15 minutes", run: newWaiting(occurrence), now: hour/4 - 1, since: -1e4},
		{name: "an occurrence", run: newWaiting(occurrence), now: hour / 4, since: -1e4, want: "warning", changed: true, notify: "waiting"},
		{name: "somebody wants it to wait", run: newWaiting(wanted), now: 100 * hour, since: -1e4},
		{name: "somebody wants it to wait, and no worker could take it", run: newWaiting(wanted, unable(0)), now: 100 * hour, since: -1e4},
		{name: "somebody wants it to wait from now on", run: newWaiting(wanted, found), now: 2 * hour, since: -1e4, want: "over", changed: true, evidence: "No longer true: It has waited.", notify: "recovered"},
		{name: "a run of the job started", run: newWaiting(started(hour / 2)), now: hour * 3 / 2, since: -1e4, want: "warning", changed: true, evidence: "when the last run of the job started", notify: "waiting"},
		{name: "a run of the job started not long ago", run: newWaiting(started(hour / 2)), now: hour*3/2 - 1, since: -1e4},
		{name: "a run of the job started before", run: newWaiting(started(-10)), now: hour, since: -1e4, want: "warning", changed: true, notify: "waiting"},
		{name: "no worker is known", run: newWaiting(unable(0)), now: grace - 1, since: -1e4},
		{name: "no worker is known for long enough", run: newWaiting(unable(0)), now: grace, since: -1e4, want: "warning", changed: true, evidence: "None of the 3 workers can take it; it needs gpu=true.", notify: "waiting"},
		{name: "its worker was there just now", run: newWaiting(unable(100)), now: 100 + grace - 1, since: -1e4},
		{name: "its worker went", run: newWaiting(unable(100)), now: 100 + grace, since: -1e4, want: "warning", changed: true, notify: "waiting"},
		{name: "only a drained worker could take it", run: newWaiting(unable(1e6)), now: hour - 1, since: -1e4},
		{name: "only a drained worker could take it, for an hour", run: newWaiting(unable(1e6)), now: hour, since: -1e4, want: "warning", changed: true, evidence: "for a worker", notify: "waiting"},
		{name: "the server was away", run: newWaiting(), now: 2 * hour, since: 2*hour - grace + 1},
		{name: "the server was away long enough ago", run: newWaiting(), now: 2 * hour, since: 2*hour - grace, want: "warning", changed: true, notify: "waiting"},
		{name: "the server was away, and no worker asked since", run: newWaiting(unable(0)), now: 2 * hour, since: 2*hour - grace + 1},
		{name: "the server was away, and it was found before", run: newWaiting(found), now: 2 * hour, since: 2*hour - 1, want: "warning"},
		{name: "found before, and it could start", run: newWaiting(found), now: hour / 2, since: -1e4, want: "over", changed: true, notify: "recovered"},
		{name: "switched off", run: newWaiting(), now: 2 * hour, since: -1e4, rules: "waiting: {on: false}"},
		{name: "switched off later", run: newWaiting(found), now: 2 * hour, since: -1e4, rules: "waiting: {on: false}", want: "over", changed: true, notify: "recovered"},
		{name: "less than the policy's limit", run: newWaiting(), now: 2*hour - 1, since: -1e4, rules: "waiting: {after: 2h}"},
		{name: "the policy's limit", run: newWaiting(), now: 60, since: -1e4, rules: "waiting: {after: 1m}", want: "warning", changed: true, notify: "waiting"},
		{name: "the policy's limit for an occurrence too", run: newWaiting(occurrence), now: 60, since: -1e4, rules: "waiting: {after: 1m}", want: "warning", changed: true, notify: "waiting"},
		{name: "the policy's limit for occurrences", run: newWaiting(occurrence), now: hour / 2, since: -1e4, rules: "waiting: {occurrence: 31m}"},
		{name: "it has to start by then", run: newWaiting(by(2 * hour)), now: hour, since: -1e4, want: "warning", changed: true, next: job.NextCancel, notify: "waiting"},
		{name: "the clock went back", run: newWaiting(), now: -hour, since: -1e4},
	} {
		p := policy.Default()
		if c.rules != "" {
			var err error
			if p, err = policy.Parse([]byte("rules: {" + c.rules + "}")); err != nil {
				t.Fatal(err)
			}
		}
		v, changed := JudgeWaiting(c.run, at(c.now), at(c.since), p)
		if changed != c.changed {
			t.Errorf("%s: changed is %t: %+v", c.name, changed, v)
			continue
		}
		if !changed {
			continue
		}
		want := job.Health("")
		if c.want == "warning" {
			want = job.Warning
		}
		if v.Health != want || !v.Waiting || len(v.Findings) > 0 != (want != "") || !strings.Contains(v.Evidence, c.evidence) {
			t.Errorf("%s: %+v", c.name, v)
		}
		if want != "" && v.Findings[0].NextCode != c.next {
			t.Errorf("%s: next is %+v", c.name, v.Findings[0])
		}
		if len(v.Outbox) != 1 || v.Outbox[0].Kind != outbox.Notify || v.Outbox[0].What != c.notify || v.Outbox[0].Severity != job.Warning || v.Outbox[0].Attempt != c.run.Attempt {
			t.Errorf("%s: %+v", c.name, v.Outbox)
		}
	}
}

// A finding does not change while nothing changes, and may cancel the run.
func TestAWaitingFindingGoesOn(t *testing.T) {
	p, err := policy.Parse([]byte("actions: {waiting: {cancel_after: 30m}}"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWaiting()
	v, _ := JudgeWaiting(w, at(3600), at(-1e4), p)
	if f := v.Findings[0]; f.NextCode != job.NextCancel || !f.NextAt.Equal(at(5400)) {
		t.Fatalf("%+v", f)
	}
	w.Findings, w.Health = v.Findings, v.Health
	if v, changed := JudgeWaiting(w, at(5399), at(-1e4), p); changed {
		t.Errorf("it changed: %+v", v)
	}
	v, changed := JudgeWaiting(w, at(5400), at(-1e4), p)
	if !changed || len(v.Outbox) != 1 || v.Outbox[0].Kind != outbox.Cancel || v.Findings[0].NextCode != job.NextCanceling {
		t.Errorf("%t: %+v", changed, v)
	}
	r := ExplainWaiting(w, at(5000), p)
	if !r.Fires || r.NextCode != job.NextCancel || r.Health != job.Warning || !r.Since.Equal(at(3600)) || r.Inputs["waited_seconds"] != 5000.0 {
		t.Errorf("%+v", r)
	}
	nobody := newWaiting(func(w *queue.WaitingRun) { w.Supply, w.AbleUntil = queue.Supply{}, time.Time{} })
	if r := ExplainWaiting(nobody, at(60), p); r.Fires || r.Sentence != "No worker is connected. That is a finding at 12:01:30 UTC, unless one can take it by then." {
		t.Errorf("%+v", r)
	}
	if r := ExplainWaiting(newWaiting(), at(60), p); r.Fires || r.Sentence != "It has waited for a worker since 2026-03-04 12:00:00 UTC; the limit is 60 min." {
		t.Errorf("%+v", r)
	}
}
