package store_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// afterDelivery is when a delivery at noon is over.
const afterDelivery = 15 * time.Second

func report(t *testing.T, s *store.Store, now time.Time) {
	t.Helper()
	must(t, s.ReportLate(t.Context(), now))
}

// wantPending compares what the outbox holds with "event job#number" or "event job#number: message",
// oldest first.
func wantPending(t *testing.T, s *store.Store, want ...string) {
	t.Helper()
	var got []string
	for _, a := range outboxOf(t, s, "") {
		if a.Status != outbox.Pending {
			continue
		}
		line := a.What + " " + runLabel(mustRun(t, s, a.Run))
		if i := len(got); i < len(want) && strings.Contains(want[i], ": ") {
			line += ": " + a.Message
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
}

func runLabel(r job.Run) string { return r.Job + "#" + string(rune('0'+r.Number)) }

// The morning after an outage of a night: what happened meanwhile is one entry for each job, and
// no alarm where a good run followed, in whatever order the runs arrive.
func outageOfANight(t *testing.T, s *store.Store) {
	night := time.Date(2026, 3, 1, 1, 10, 0, 0, time.UTC)
	const each = 200 * time.Minute / 6
	for _, i := range []int{3, 0, 6, 1, 2, 5, 4} {
		code := 0
		if i == 1 || i == 3 {
			code = 1
		}
		deliver(t, s, journal.Attempt{Job: "backup"}, code, night.Add(time.Duration(i)*each), noon)
	}
	deliver(t, s, journal.Attempt{Job: "other", Host: "elsewhere"}, 1, noon, noon) // in time
	wantPending(t, s, "failed other#1")
	report(t, s, noon.Add(5*time.Second))
	wantPending(t, s, "failed other#1") // more may come
	report(t, s, noon.Add(afterDelivery))
	report(t, s, noon.Add(2*afterDelivery))
	wantPending(t, s, "failed other#1", "late backup#3: 7 runs from 01:10 to 04:30 arrived late, 2 of them failed.")
	late := outboxOf(t, s, "")[1]
	want := &api.LateRuns{Host: "box", Runs: 7, Failed: 2, From: night, To: night.Add(6 * each)}
	if diff := cmp.Diff(want, late.Late); diff != "" || late.Severity != outbox.Info {
		t.Errorf("the entry has severity %q and counts (-want +got):\n%s", late.Severity, diff)
	}
}

// A job whose last run of the night failed is an alarm, once, if the policy says so; the next good
// run ends it.
func lastOfANightFailed(t *testing.T, s *store.Store) {
	quiet := policy.Stored{Job: "quiet", YAML: "actions: {failed: {notify: false}}", SetAt: noon}
	must(t, s.SetPolicy(t.Context(), quiet, []byte(`{"failed":{"notify":false}}`)))
	for _, name := range []string{"backup", "quiet"} {
		for _, ago := range []time.Duration{3, 2, 1} {
			deliver(t, s, journal.Attempt{Job: name}, 1, noon.Add(-ago*time.Hour), noon)
		}
	}
	report(t, s, noon.Add(afterDelivery))
	wantPending(t, s, "late backup#3", "late quiet#3", "failed backup#3: Exited with code 1.")
	later := noon.Add(time.Hour)
	deliver(t, s, journal.Attempt{Job: "backup"}, 0, later, later)
	wantPending(t, s, "late backup#3", "late quiet#3", "failed backup#3", "recovered backup#4: Succeeded again, after run #3 had not.")
}

// A failure of seconds ago that arrives after the success of a run that started when it had ended
// is not an alarm either, and does not make the next good run news.
func failureAfterTheSuccess(t *testing.T, s *store.Store) {
	a := journal.Attempt{Job: "nightly"}
	deliver(t, s, a, 0, noon.Add(10*time.Second), noon.Add(15*time.Second))
	deliver(t, s, a, 1, noon, noon.Add(20*time.Second))
	deliver(t, s, a, 0, noon.Add(25*time.Second), noon.Add(29*time.Second))
	wantPending(t, s)
	report(t, s, noon.Add(time.Minute))
	wantPending(t, s, "late nightly#2: 1 run from 12:05 arrived late, and it failed.")
}

// In parallel runs a failure passes when one that started later succeeds, once. Where one had succeeded
// before, a failure that happens now raises late too, and is reported all the same, once: the runs of
// a sweep do different work.
func parallelFailures(t *testing.T, s *store.Store) {
	sweep := func() *testJournal {
		j := newJournal(t, journal.Attempt{Job: "sweep"})
		j.command()
		return j
	}
	begin := func(j *testJournal, at int) {
		_, data := j.take()
		try(t, s, index.Append{Run: j.id, Attempt: 1, Data: data, At: noon.Add(time.Duration(at) * time.Second)})
	}
	end := func(j *testJournal, code, at int) {
		j.at = epoch.Add(time.Duration(at) * time.Second)
		j.end(code)
		offset, data := j.take()
		now := noon.Add(time.Duration(at) * time.Second)
		s.SetClock(func() time.Time { return now })
		try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: now, ClockOffset: noon.Sub(epoch)})
	}
	var all []*testJournal
	for i := range 6 {
		j := sweep()
		begin(j, i)
		all = append(all, j)
	}
	end(all[3], 1, 10)
	end(all[2], 0, 11) // it started earlier
	wantPending(t, s, "failed sweep#4")
	end(all[4], 0, 12)
	wantPending(t, s, "failed sweep#4", "recovered sweep#5: Succeeded again, after run #4 had not.")
	end(all[5], 0, 13)
	end(all[0], 1, 14) // all later ones are over, and it ends only now
	wantPending(t, s, "failed sweep#4", "recovered sweep#5", "failed sweep#1", "late sweep#1: A run of the job that started later had succeeded before.")
	if a := outboxOf(t, s, all[0].id)[1]; a.Severity != outbox.Info || a.Late != nil {
		t.Errorf("the entry of the event late: %+v", a)
	}
	for known, want := range map[int]bool{0: true, 13: true, 14: false} { // the last success of later ones became known at 13
		yes, err := s.SucceededSince(t.Context(), "sweep", mustRun(t, s, all[0].id).StartAt, noon.Add(time.Duration(known)*time.Second))
		if err != nil || yes != want {
			t.Errorf("a later success became known at %d s or later: %t, %v", known, yes, err)
		}
	}
	report(t, s, noon.Add(time.Minute))
	end(all[1], 0, 15)
	wantPending(t, s, "failed sweep#4", "recovered sweep#5", "failed sweep#1", "late sweep#1", "recovered sweep#2: Succeeded again, after run #1 had not.")
}

// A failure that people know of is over when a good run arrives that started after it, also late.
func lateSuccess(t *testing.T, s *store.Store) {
	a := journal.Attempt{Job: "nightly"}
	start := noon.Add(-3 * time.Hour)
	deliver(t, s, a, 1, start, start)
	deliver(t, s, a, 0, noon.Add(-2*time.Hour), noon)
	wantPending(t, s, "failed nightly#1")
	report(t, s, noon.Add(afterDelivery))
	wantPending(t, s, "failed nightly#1", "late nightly#2", "recovered nightly#2")
	deliver(t, s, a, 0, noon.Add(time.Minute), noon.Add(time.Minute))
	wantPending(t, s, "failed nightly#1", "late nightly#2", "recovered nightly#2")
}

// While a journal of the host still arrives nothing is reported, but not for ever.
func longDelivery(t *testing.T, s *store.Store) {
	deliver(t, s, journal.Attempt{Job: "short"}, 1, noon.Add(-time.Hour), noon)
	long := newJournal(t, journal.Attempt{Job: "long"})
	long.command()
	for minute := range 4 {
		offset, data := long.take()
		at := noon.Add(time.Duration(minute) * time.Minute)
		got := try(t, s, index.Append{Run: long.id, Attempt: 1, Offset: offset, Data: data, At: at, ClockOffset: -2 * time.Hour})
		must(t, got.Err)
		report(t, s, at.Add(10*time.Second-time.Millisecond))
		long.output("x\n")
	}
	wantPending(t, s)
	report(t, s, noon.Add(5*time.Minute))
	wantPending(t, s, "late short#1", "failed short#1")
}

// A run whose row is damaged is counted, and keeps no other run from being reported.
func lateAndDamaged(t *testing.T, s *store.Store) {
	run := deliver(t, s, journal.Attempt{Job: "backup"}, 1, noon.Add(-time.Hour), noon)
	deliver(t, s, journal.Attempt{Job: "report"}, 1, noon.Add(-time.Hour), noon)
	must(t, s.Exec(t.Context(), `UPDATE runs SET doc = '{' WHERE id = $1`, run.ID))
	report(t, s, noon.Add(afterDelivery))
	if diff := cmp.Diff([]string{"notify late", "notify late", "notify failed"}, words(outboxOf(t, s, ""))); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
}

// Each host's delivery is reported by itself, when it is over; what comes after that is the next one.
func lateFromHosts(t *testing.T, s *store.Store) {
	a := journal.Attempt{Job: "backup", Host: "a"}
	b := journal.Attempt{Job: "backup", Host: "b"}
	at := func(minutes int) time.Time { return noon.Add(-3*time.Hour + time.Duration(minutes)*time.Minute) }
	deliver(t, s, a, 0, at(0), noon)
	deliver(t, s, a, 1, at(1), noon.Add(time.Second))
	deliver(t, s, b, 1, at(2), noon.Add(8*time.Second))
	report(t, s, noon.Add(12*time.Second)) // b may go on
	wantPending(t, s, "late backup#2: 2 runs from 09:05 to 09:06 arrived late, 1 of them failed.", "failed backup#2")
	deliver(t, s, b, 0, at(3), noon.Add(16*time.Second))
	report(t, s, noon.Add(20*time.Second))
	report(t, s, noon.Add(30*time.Second))
	wantPending(t, s, "late backup#2", "failed backup#2", "late backup#4: 2 runs from 09:07 to 09:08 arrived late, 1 of them failed.",
		"recovered backup#4: Succeeded again, after run #2 had not.")
	deliver(t, s, a, 0, at(4), noon.Add(time.Minute)) // the other half of what a had
	report(t, s, noon.Add(2*time.Minute))
	all := outboxOf(t, s, "")
	if last := all[len(all)-1]; len(all) != 5 || last.Message != "1 run from 09:09 arrived late." || last.Late.Host != "a" {
		t.Errorf("the second half: %+v", all)
	}
}

// A run of long ago that is delivered today is kept as long as one of today.
func lateAndOld(t *testing.T, s *store.Store) {
	s.SetKeep(store.Keep{Age: 24 * time.Hour, AtOnce: true})
	deliver(t, s, journal.Attempt{Job: "backup"}, 0, noon, noon)
	old := deliver(t, s, journal.Attempt{Job: "backup"}, 1, noon.AddDate(0, -1, 0), noon)
	must(t, s.Tidy(t.Context(), noon.Add(time.Hour)))
	if gone(t, s, old.ID) {
		t.Error("a run of a month ago was removed when it was delivered")
	}
	must(t, s.Tidy(t.Context(), noon.Add(25*time.Hour)))
	if !gone(t, s, old.ID) {
		t.Error("a run that was delivered more than a day ago is still kept")
	}
}

// A run that people know is lost, and whose journal is completed later with the time at which its
// agent died, is neither late nor lost once more; also not where a good run followed meanwhile, or
// ran beside it.
func lostAndFlushed(t *testing.T, s *store.Store) {
	var want []string
	for _, after := range []time.Duration{20 * time.Second, 10 * time.Minute} {
		lost := map[string]*testJournal{}
		for _, name := range []string{"alone ", "passed ", "beside "} {
			name += after.String()
			lost[name] = loseAndNotify(t, s, name, 0)
			want = append(want, "lost "+name+"#1")
		}
		for name, start := range map[string]time.Duration{"passed ": 10 * time.Second, "beside ": time.Second} {
			name += after.String()
			deliver(t, s, journal.Attempt{Job: name}, 0, noon.Add(start), noon.Add(15*time.Second))
			want = append(want, "recovered "+name+"#2")
		}
		for _, j := range lost {
			must(t, j.w.Finish(j.tick(), journal.Final{Outcome: job.Unfinished(false, j.at)}))
			offset, data := j.take()
			try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon.Add(after), ClockOffset: noon.Sub(epoch)})
			if run := mustRun(t, s, j.id); run.State != job.Lost || !run.Output.Complete || !run.EndedAt.Equal(epoch.Add(4*time.Second)) {
				t.Errorf("the flushed run: %+v", run)
			}
		}
		report(t, s, noon.Add(after+time.Minute))
		wantPending(t, s, want...)
	}
	next := noon.Add(time.Hour)
	deliver(t, s, journal.Attempt{Job: "passed 20s"}, 0, next, next)
	deliver(t, s, journal.Attempt{Job: "alone 20s"}, 0, next, next)
	wantPending(t, s, append(want, "recovered alone 20s#2: Succeeded again, after run #1 had not.")...)
}

// Of two servers one reports.
func TestTwoServersReportLateOnce(t *testing.T) {
	url := postgrestest.URL(t)
	a, b := openURL(t, url), openURL(t, url)
	for range 5 {
		deliver(t, a, journal.Attempt{Job: "backup"}, 0, noon.Add(-time.Hour), noon)
	}
	var both sync.WaitGroup
	for _, s := range []*store.Store{a, b} {
		both.Go(func() {
			if err := s.ReportLate(context.Background(), noon.Add(afterDelivery)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	wantPending(t, a, "late backup#5: 5 runs from 11:05 to 11:05 arrived late.")
}
