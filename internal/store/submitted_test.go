package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// submittedAttempt has a worker take the only run that waits, and its process get the permit.
func submittedAttempt(t *testing.T, s *store.Store, worker string, now time.Time) *testJournal {
	t.Helper()
	must(t, s.Match(t.Context()))
	reply, err := s.Claim(t.Context(), worker, job.ClaimRequest{
		ClaimID: uuid.NewString(), WorkerID: worker, Host: worker, Specs: []int{job.SpecVersion}, Slots: 1, Free: 1, WaitMS: 1000,
	})
	must(t, err)
	if len(reply.Claims) != 1 {
		t.Fatalf("worker %s got %+v", worker, reply)
	}
	c, incarnation := reply.Claims[0], strings.ReplaceAll(uuid.NewString(), "-", "")
	j := newJournal(t, journal.Attempt{Run: c.Run, Attempt: c.Attempt, Job: c.Job, Host: worker, Incarnation: incarnation, Worker: worker})
	_, data := j.take()
	got := try(t, s, index.Append{Run: c.Run, Attempt: c.Attempt, Data: data, At: now, Permit: &index.PermitRequest{Claim: c.Token, Incarnation: incarnation}})
	if got.Err != nil || got.Permit == nil || got.Permit.Answer != job.PermitGranted {
		t.Fatalf("the permit is %+v", got)
	}
	return j
}

// The check finds nothing wrong with a submitted run at any point of its life, and proves that each of its
// attempts had one permit.
func TestCheckOfSubmittedRuns(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		now := noon
		s.SetClock(func() time.Time { return now })
		set := definition.Set{New: []definition.New{defined(t, "job: report\ncommand: [a]\nretries: {limit: 5}\n")}, By: "ada", At: noon}
		_, err := s.ApplyDefinitions(t.Context(), set)
		must(t, err)
		id := runID()
		_, _, err = s.Submit(t.Context(), id, job.SubmitRequest{Job: "report"}, "ada", false)
		must(t, err)
		sound := func(when string, state job.State) {
			t.Helper()
			if run := mustRun(t, s, id); run.State != state {
				t.Fatalf("%s the run is %s", when, run.State)
			}
			if found := check(t, s, false); len(found) > 0 {
				t.Errorf("%s: %+v", when, found)
			}
		}
		send := func(j *testJournal, attempt int) {
			t.Helper()
			offset, data := j.take()
			if got := try(t, s, index.Append{Run: id, Attempt: attempt, Offset: offset, Data: data, At: now}); got.Err != nil {
				t.Fatal(got.Err)
			}
		}
		first := submittedAttempt(t, s, "w1", now)
		sound("with a permit", job.Starting)
		first.command()
		send(first, 1)
		sound("with a command", job.Running)
		now = now.Add(time.Hour)
		lose(t, s, id)
		sound("after attempt 1 was lost", job.Retrying)
		first.output("it lives")
		send(first, 1)
		sound("after attempt 1 reported again", job.Running)
		now = now.Add(time.Hour)
		lose(t, s, id)
		now = now.Add(time.Minute)
		second := submittedAttempt(t, s, "w2", now)
		for attempt, worker := range map[int]string{1: "w1", 2: "w2"} {
			if run, err := s.RunAttempt(t.Context(), id, attempt); err != nil || run.Submitted == nil || run.Submitted.Worker != worker || run.Submitted.By != "ada" {
				t.Errorf("attempt %d: %+v, %v, want worker %s", attempt, run.Submitted, err, worker)
			}
		}
		sound("with the permit of attempt 2", job.Starting)
		second.command()
		second.end(1)
		send(second, 2)
		sound("after attempt 2 failed", job.Retrying)
		for range 5 {
			must(t, s.Match(t.Context()))
			now = now.Add(time.Hour)
			worker := "w" + uuid.NewString()
			reply, err := s.Claim(t.Context(), worker, job.ClaimRequest{ClaimID: uuid.NewString(), WorkerID: worker, Host: worker, Specs: []int{job.SpecVersion}, Slots: 1, Free: 1})
			must(t, err)
			for _, c := range reply.Claims {
				_, _, err = s.ReleaseClaim(t.Context(), worker, c.Claim, "no such directory")
				must(t, err)
			}
		}
		sound("after nobody could start attempt 3", job.Failed)

		must(t, s.Exec(t.Context(), `UPDATE permits SET claim = ''`)) // a restored database got them back from the processes
		sound("with permits whose claims are not known", job.Failed)
		must(t, s.Exec(t.Context(), `UPDATE permits SET claim = 'one'`))
		if found := check(t, s, false); len(found) != 2 || !strings.Contains(found[0].What, "one claim") {
			t.Errorf("with one claim for both attempts: %+v", found)
		}
		must(t, s.Exec(t.Context(), `UPDATE permits SET claim = ''`))
		must(t, s.Exec(t.Context(), `UPDATE permits SET incarnation = 'other' WHERE attempt = 1`))
		if found := check(t, s, false); len(found) != 1 || found[0].Attempt != 1 || !strings.Contains(found[0].What, "another process") {
			t.Errorf("with the permit of another process: %+v", found)
		}
		must(t, s.Exec(t.Context(), `DELETE FROM permits WHERE attempt = 1`))
		if found := check(t, s, false); len(found) != 1 || found[0].Attempt != 1 || !strings.Contains(found[0].What, "no process had the permit") {
			t.Errorf("without a permit: %+v", found)
		}
	})
}
