package job_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

// expected is the whole state machine as a person would draw it, written down a second
// time: a row for each state, a column for each kind of event. "." changes nothing, "x" is
// refused, "*" is the state that the event carries.
const expected = `
            attempt_started install_started command_started stop_requested ended lease_expired heard retry_requested
queued      starting        x               x               canceled       *     .             .     x
starting    .               installing      running         stopping       *     lost          .     x
installing  x               .               running         stopping       *     lost          .     x
running     x               x               .               stopping       *     lost          .     x
stopping    x               .               .               .              *     lost          .     x
retrying    starting        x               x               canceled       *     .             *     .
succeeded   x               .               .               .              .     .             .     x
failed      x               .               .               .              .     .             .     retrying
canceled    x               .               .               .              .     .             .     retrying
timed_out   x               .               .               .              .     .             .     retrying
lost        starting        installing      running         .              *     .             *     retrying
`

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// carried is a state that each kind of event may carry.
func carried(kind job.EventKind) job.State {
	switch kind {
	case job.Ended:
		return job.Failed
	case job.Heard:
		return job.Installing
	}
	return ""
}

func TestNextEveryPair(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(expected), "\n")
	kinds := strings.Fields(lines[0])
	if len(kinds) != len(job.EventKinds()) || len(lines)-1 != len(job.States()) {
		t.Fatalf("the table has %d kinds and %d states, package job has %d and %d",
			len(kinds), len(lines)-1, len(job.EventKinds()), len(job.States()))
	}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		from := job.State(cells[0])
		if !from.Valid() {
			t.Fatalf("the table names %q, which is no state", from)
		}
		for i, want := range cells[1:] {
			event := job.Event{Kind: job.EventKind(kinds[i])}
			event.State = carried(event.Kind)
			got, err := job.Next(from, event, now)
			if want == "x" {
				var refused *job.RefusedError
				if !errors.As(err, &refused) || refused.State != from || refused.Event != event {
					t.Errorf("%s + %s: got %v, %v; want a *RefusedError that names both", from, event.Kind, got.To, err)
				}
				continue
			}
			to := map[string]job.State{".": from, "*": event.State}[want]
			if to == "" {
				to = job.State(want)
			}
			wantT := job.Transition{From: from, To: to, Event: event.Kind, At: now}
			if err != nil || got != wantT {
				t.Errorf("%s + %s: got %+v, %v; want %+v", from, event.Kind, got, err, wantT)
			}
			if got.Changed() != (from != to) {
				t.Errorf("%s + %s: Changed() = %v", from, event.Kind, got.Changed())
			}
		}
	}
}

// anything draws states and events, sensible or not.
func anything(t *rapid.T) (job.State, job.Event) {
	states := append(job.States(), "", "running ", "=", "refused", "given", "\x00")
	kinds := append(job.EventKinds(), "", "started", "=")
	return rapid.SampledFrom(states).Draw(t, "state"), job.Event{
		Kind:  rapid.SampledFrom(kinds).Draw(t, "kind"),
		State: rapid.SampledFrom(states).Draw(t, "carried"),
	}
}

func TestNextInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, e := anything(t)
		got, err := job.Next(s, e, now)
		if err != nil {
			var refused *job.RefusedError
			if !errors.As(err, &refused) || got != (job.Transition{}) {
				t.Fatalf("refused with %T and %+v", err, got)
			}
			if msg := err.Error(); !strings.Contains(msg, string(s)) || !strings.Contains(msg, string(e.Kind)) {
				t.Fatalf("message %q does not name state and event", msg)
			}
			return
		}
		if !s.Valid() || !got.To.Valid() {
			t.Fatalf("%q + %+v was allowed and leads to %q", s, e, got.To)
		}
		if s.Terminal() && s != job.Lost && got.Changed() && (e.Kind != job.RetryRequested || got.To != job.Retrying) {
			t.Fatalf("%s is final, and %s led to %s", s, e.Kind, got.To)
		}
		if got.To == job.Lost && got.Changed() && !s.Active() && e.Kind != job.Ended {
			t.Fatalf("no agent works on a run that is %s, and %s made it lost", s, e.Kind)
		}
		if got.To == job.Succeeded && got.Changed() && e.Kind != job.Ended {
			t.Fatalf("%s alone proved success", e.Kind)
		}
		again, err := job.Next(got.To, e, now)
		if err == nil && again.Changed() && e.Kind != job.Ended {
			t.Fatalf("%s + %s gives %s, and the same event again gives %s", s, e.Kind, got.To, again.To)
		}
	})
}

// A whole life in any order of late and repeated events ends where the first final word
// put it; lost is the only end that gives way.
func TestTerminalBeatsLateArrivals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := job.Queued
		var end job.State
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			_, e := anything(t)
			if e.Kind == job.RetryRequested {
				continue
			}
			next, err := job.Next(s, e, now)
			if err != nil {
				continue
			}
			s = next.To
			if end != "" && s != end {
				t.Fatalf("was %s, and %s (%s) made it %s", end, e.Kind, e.State, s)
			}
			if s.Terminal() && s != job.Lost {
				end = s
			}
		}
	})
}

func TestNextRefusesStatesThatAnEventMayNotCarry(t *testing.T) {
	for _, s := range append(job.States(), "", "done") {
		_, err := job.Next(job.Running, job.Event{Kind: job.Ended, State: s}, now)
		if want := s.Terminal() || s == job.Retrying; (err == nil) != want {
			t.Errorf("running + ended (%q): error %v, want allowed = %v", s, err, want)
		}
		_, err = job.Next(job.Lost, job.Event{Kind: job.Heard, State: s}, now)
		if want := s.Active(); (err == nil) != want {
			t.Errorf("lost + heard (%q): error %v, want allowed = %v", s, err, want)
		}
	}
}

func TestStates(t *testing.T) {
	seen := map[job.State]bool{}
	for _, s := range job.States() {
		if seen[s] || !s.Valid() {
			t.Errorf("%q: listed twice or not valid", s)
		}
		seen[s] = true
		if s.Terminal() && s.Active() {
			t.Errorf("%q is both ended and active", s)
		}
	}
	for _, s := range []job.State{"", "cancelled", "Running", "="} {
		if s.Valid() || s.Terminal() || s.Active() {
			t.Errorf("%q passes for a state", s)
		}
	}
	for h, want := range map[job.Health]bool{job.Healthy: true, job.Warning: true, job.Critical: true, "": false, "ok": false} {
		if h.Valid() != want {
			t.Errorf("Health(%q).Valid() = %v", h, !want)
		}
	}
}
