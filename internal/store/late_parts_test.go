package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// endings are the ways in which the journal of an attempt ends.
var endings = map[string]func(*testing.T, *testJournal){
	"succeeded": func(_ *testing.T, j *testJournal) { j.end(0) },
	"failed":    func(_ *testing.T, j *testJournal) { j.end(3) },
	"lost": func(t *testing.T, j *testJournal) {
		must(t, j.w.Finish(j.tick(), journal.Final{Outcome: job.Unfinished(false, j.at)}))
	},
}

// lateJournal returns a whole journal of a job on a host of the same name.
func lateJournal(t *testing.T, name, ending string) (id string, data []byte) {
	t.Helper()
	j := newJournal(t, journal.Attempt{Job: name, Host: name})
	j.command()
	j.output("one\n")
	j.output("two\n")
	endings[ending](t, j)
	_, data = j.take()
	return j.id, data
}

// round does what a server does each second: it calls runs lost whose lease has ended, and reports
// what was delivered late.
func round(t *testing.T, s *store.Store, now time.Time) {
	t.Helper()
	due, err := s.Due(t.Context(), now, 100)
	must(t, err)
	var verdicts []lease.Verdict
	for _, l := range due {
		if l.ExpiresAt.After(now) {
			continue
		}
		verdicts = append(verdicts, lease.Verdict{
			Run: l.Run, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: now, Lost: true, Evidence: "No heartbeat.",
			Outbox: []outbox.Entry{{
				Kind: outbox.Notify, Run: l.Run, Attempt: l.Attempt, What: outbox.WhatLost, Severity: job.Critical,
				Message: "No heartbeat.", At: now, After: now.Add(time.Minute),
			}},
		})
	}
	if _, err := s.Judge(t.Context(), verdicts); err != nil {
		t.Fatal(err)
	}
	must(t, s.ReportLate(t.Context(), now))
}

// deliverParts sends a journal in parts as a flush does that took it over, the first at a time, the
// others each after a pause. The run started an hour before. It returns the time of the last part.
func deliverParts(t *testing.T, s *store.Store, id string, data []byte, cuts []int, at time.Time, pause time.Duration) time.Time {
	t.Helper()
	offset := at.Add(-time.Hour).Sub(epoch.Add(time.Second))
	takeover := try(t, s, index.Append{Run: id, Attempt: 1, Writer: 1, At: at, ClockOffset: offset})
	must(t, takeover.Err)
	from := 0
	for i, to := range append(slices.Clone(cuts), len(data)) {
		if i > 0 {
			for range pause / (10 * time.Second) {
				at = at.Add(10 * time.Second)
				round(t, s, at)
			}
		}
		s.SetClock(func() time.Time { return at })
		got := try(t, s, index.Append{
			Run: id, Attempt: 1, Writer: 1, Offset: int64(from), Data: data[from:to], At: at,
			ClockOffset: offset,
		})
		must(t, got.Err)
		from = to
	}
	return at
}

// pending lists what people are notified of about a run.
func pending(t *testing.T, s *store.Store, run string) []string {
	t.Helper()
	var all []string
	for _, a := range outboxOf(t, s, run) {
		if a.Status != outbox.Dropped {
			all = append(all, fmt.Sprintf("%s %s %s: %s", a.Kind, a.What, a.Severity, a.Message))
		}
	}
	return all
}

// However the journal of a dead agent is cut into appends, and however long the flush stalls between
// them, people are notified of the same, once.
func lateInParts(t *testing.T, s *store.Store) {
	r := rand.New(rand.NewPCG(1, 2))
	for ending := range endings {
		for _, before := range []int{-1, 0, 1} { // the exit code of a run of the job before; -1 for none
			var want []string
			for n, pause := range []time.Duration{0, 10 * time.Second, 40 * time.Second, 50 * time.Second} {
				name, at := fmt.Sprintf("%s %d %d", ending, before, n), noon
				s.SetClock(func() time.Time { return at })
				if before >= 0 {
					start := at.Add(-2 * time.Hour)
					deliver(t, s, journal.Attempt{Job: name, Host: name}, before, start, start.Add(time.Second))
				}
				id, data := lateJournal(t, name, ending)
				var cuts []int
				if n > 0 {
					cuts = []int{1 + r.IntN(len(data)-2), 1 + r.IntN(len(data)-2)}
					slices.Sort(cuts)
					cuts = slices.Compact(cuts)
				}
				at = deliverParts(t, s, id, data, cuts, at, pause)
				round(t, s, at.Add(afterDelivery))
				got := pending(t, s, id)
				if n == 0 {
					want = got
				} else if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, cut at %v with pauses of %s: notifications (-whole +parts):\n%s", name, cuts, pause, diff)
				}
			}
			if len(want) == 0 {
				t.Errorf("%s after %d: no notification", ending, before)
			}
		}
	}
}

// What a host delivers is one entry for each job, also where one of its journals comes in parts.
func lateHostInParts(t *testing.T, s *store.Store) {
	for name, pause := range map[string]time.Duration{"stalls": 20 * time.Second, "stalls, and is called lost": 50 * time.Second} {
		at := noon
		first, data := lateJournal(t, name, "failed")
		deliverParts(t, s, first, data, nil, at, 0)
		second, data := lateJournal(t, name, "failed")
		at = deliverParts(t, s, second, data, []int{len(data) / 2}, at, pause)
		round(t, s, at.Add(afterDelivery))
		var late []api.Action
		for _, run := range []string{first, second} {
			for _, a := range outboxOf(t, s, run) {
				if a.What == outbox.WhatLate {
					late = append(late, a)
				}
			}
		}
		if len(late) != 1 || late[0].Late.Runs != 2 || late[0].Late.Failed != 2 {
			t.Errorf("%s: entries of the event late: %+v", name, late)
		}
	}
}

// A journal of which the rest never arrives is reported once, after a while.
func lateWithoutEnd(t *testing.T, s *store.Store) {
	id, data := lateJournal(t, "nightly", "failed")
	deliverParts(t, s, id, data[:len(data)-1], nil, noon, 0)
	for at := noon.Add(time.Second); at.Before(noon.Add(100 * time.Second)); at = at.Add(time.Second) {
		round(t, s, at)
	}
	if run := mustRun(t, s, id); run.State != job.Lost {
		t.Fatalf("the run is %s", run.State)
	}
	if got := pending(t, s, id); len(got) > 0 {
		t.Errorf("before the rest is given up: %q", got)
	}
	round(t, s, noon.Add(200*time.Second))
	round(t, s, noon.Add(201*time.Second))
	want := []string{
		"notify late info: 1 run from 11:05 arrived late, and it failed.",
		"notify lost critical: No heartbeat.",
	}
	if diff := cmp.Diff(want, pending(t, s, id)); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}

// A run of an agent that was offline and lives is an alarm only when it fails, also if it was called
// lost while its journal arrived.
func lateAndAlive(t *testing.T, s *store.Store) {
	j := newJournal(t, journal.Attempt{Job: "alive", Host: "laptop"})
	j.command()
	offset, data := j.take()
	behind := noon.Add(-time.Hour).Sub(epoch.Add(time.Second))
	must(t, try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon, ClockOffset: behind}).Err)
	round(t, s, noon.Add(40*time.Second))
	if run := mustRun(t, s, j.id); run.State != job.Lost {
		t.Fatalf("the run is %s", run.State)
	}
	beatOnce(t, s, j.id, 1, noon.Add(45*time.Second))
	round(t, s, noon.Add(46*time.Second))
	round(t, s, noon.Add(100*time.Second))
	if got := pending(t, s, j.id); len(got) > 0 {
		t.Errorf("notifications of a run that goes on: %q", got)
	}
	j.at = epoch.Add(time.Hour + 5*time.Minute)
	j.end(3)
	offset, data = j.take()
	must(t, try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon.Add(5*time.Minute + 2*time.Second), ClockOffset: behind}).Err)
	round(t, s, noon.Add(10*time.Minute))
	if diff := cmp.Diff([]string{"notify failed critical: Exited with code 3."}, pending(t, s, j.id)); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}
