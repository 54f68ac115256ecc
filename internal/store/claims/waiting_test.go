package claims

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
)

// judgeWaiting judges the runs in the queue, as the monitor of a server that runs for long, by a policy.
func (b *bench) judgeWaiting(t testing.TB, s server, p policy.Policy) {
	t.Helper()
	all, err := s.health.FoundWaiting(t.Context(), 100, b.clock())
	must(t, err)
	page, _, err := s.health.Waiting(t.Context(), "", 100, b.clock())
	must(t, err)
	for _, w := range page {
		if len(w.Findings) == 0 {
			all = append(all, w)
		}
	}
	var verdicts []lease.Verdict
	for _, w := range all {
		if v, changed := rules.JudgeWaiting(w, b.clock(), noon.Add(-time.Hour), p); changed {
			verdicts = append(verdicts, v)
		}
	}
	_, err = s.health.Judge(t.Context(), verdicts)
	must(t, err)
}

// asks has a worker ask, which takes no run.
func (b *bench) asks(t testing.TB, worker string) {
	t.Helper()
	_, err := b.servers[0].Claim(t.Context(), worker, b.poll(worker, func(r *job.ClaimRequest) { r.Free = 0 }))
	must(t, err)
}

func (b *bench) wantNotified(t testing.TB, run string, want ...string) {
	t.Helper()
	got, err := b.servers[0].ReadTexts(t.Context(), `SELECT kind || ' ' || what || ' ' || ends FROM outbox WHERE run_id = $1 ORDER BY id`, run)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the outbox (-want +got): %s", diff)
	}
}

func (b *bench) wantHealth(t testing.TB, run string, state job.State, health job.Health, findings int) {
	t.Helper()
	row := b.run(t, run)
	if row.Run.State != state || row.Run.Health != health || len(row.Run.Findings) != findings {
		t.Errorf("the run is %s, %q, with %+v; want %s, %q, %d findings", row.Run.State, row.Run.Health, row.Run.Findings, state, health, findings)
	}
}

func TestAWaitIsFoundUntilTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		b.pass(time.Hour - time.Second)
		b.asks(t, "w1")
		b.judgeWaiting(t, b.servers[0], policy.Default())
		b.wantHealth(t, run, job.Queued, "", 0)
		b.pass(time.Second)
		for _, s := range b.servers { // both judge, as when one takes over
			b.judgeWaiting(t, s, policy.Default())
		}
		b.wantHealth(t, run, job.Queued, job.Warning, 1)
		b.wantNotified(t, run, "notify waiting ")
		c := b.claimOne(t, "w1")
		b.judgeWaiting(t, b.servers[1], policy.Default()) // a claim is no start
		b.wantHealth(t, run, job.Queued, job.Warning, 1)
		p := newProcess(t, c, "h")
		for range 2 {
			if got := b.ask(t, b.servers[1], p); got.Answer != job.PermitGranted {
				t.Fatalf("%+v", got)
			}
		}
		b.wantHealth(t, run, job.Starting, job.Healthy, 0)
		b.wantNotified(t, run, "notify waiting ", "notify recovered waiting")
		p.begin(t, b.clock())
		p.end(t, b.clock(), job.Classify(job.Ending{Kind: job.CommandStep}))
		must(t, b.send(t, b.servers[0], p).Err)
		b.wantHealth(t, run, job.Succeeded, "", 0)
		b.wantNotified(t, run, "notify waiting ", "notify recovered waiting")
	})
}

// A verdict on a run that has started meanwhile changes nothing.
func TestAVerdictOnARunThatStarted(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		b.pass(2 * time.Hour)
		page, _, err := b.servers[0].health.Waiting(t.Context(), "", 10, b.clock())
		must(t, err)
		v, changed := rules.JudgeWaiting(page[0], b.clock(), noon.Add(-time.Hour), policy.Default())
		if !changed {
			t.Fatal("nothing is found")
		}
		b.ask(t, b.servers[0], newProcess(t, b.claimOne(t, "w1"), "h"))
		_, err = b.servers[0].health.Judge(t.Context(), []lease.Verdict{v})
		must(t, err)
		b.wantHealth(t, run, job.Starting, job.Healthy, 0)
		b.wantNotified(t, run)
	})
}

// The wait of a further attempt is judged by itself, and the run keeps its outcome meanwhile. Whatever ends the wait ends the finding.
func TestTheWaitOfAFurtherAttempt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "h")
		b.ask(t, b.servers[0], p)
		b.pass(10 * time.Minute)
		if lost := b.judge(t, b.servers[0]); lost != 1 {
			t.Fatalf("%d are lost", lost)
		}
		b.pass(time.Minute)
		b.match(t) // its pause is over
		b.asks(t, "w1")
		b.judgeWaiting(t, b.servers[0], policy.Default())
		b.wantHealth(t, run, job.Retrying, "", 0)
		b.pass(time.Hour)
		b.asks(t, "w1")
		b.judgeWaiting(t, b.servers[0], policy.Default())
		b.wantHealth(t, run, job.Retrying, job.Warning, 1)
		if got := b.beat(t, b.servers[0], run, 1); !got.Owner { // the attempt that was lost goes on
			t.Errorf("%+v", got)
		}
		b.wantHealth(t, run, job.Starting, job.Healthy, 0)
		b.wantNotified(t, run, "notify waiting ", "notify healed lost", "notify recovered waiting")

		other := b.submit(t)
		b.pass(2 * time.Hour)
		b.asks(t, "w1")
		b.judgeWaiting(t, b.servers[0], policy.Default())
		b.wantHealth(t, other, job.Queued, job.Warning, 1)
		_, _, err := b.servers[0].outbox.RequestCancel(t.Context(), other, job.Cancel{By: "ada", At: b.clock()})
		must(t, err)
		b.wantHealth(t, other, job.Canceled, "", 0)
		b.wantNotified(t, other, "notify waiting ", "notify canceled ")
	})
}

// A policy decides whether people are notified, also of the start, and may cancel the run.
func TestWaitingByAPolicy(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		const text = "rules: {waiting: {after: 10m}}\nactions: {waiting: {notify: false, cancel_after: 10m}}\n"
		p, err := policy.Parse([]byte(text))
		must(t, err)
		must(t, b.servers[0].health.SetPolicy(t.Context(), policy.Stored{Job: "report", YAML: text, SetAt: noon}, []byte(`{"waiting": {"notify": false}}`)))
		run := b.submit(t)
		b.pass(10 * time.Minute)
		b.asks(t, "w1")
		b.judgeWaiting(t, b.servers[0], p)
		b.wantHealth(t, run, job.Queued, job.Warning, 1)
		b.pass(10 * time.Minute)
		b.asks(t, "w1")
		b.judgeWaiting(t, b.servers[0], p)
		b.wantNotified(t, run, "cancel waiting ")
		b.ask(t, b.servers[0], newProcess(t, b.claimOne(t, "w1"), "h"))
		b.wantHealth(t, run, job.Starting, job.Healthy, 0)
		b.wantNotified(t, run, "cancel waiting ")
		canceled := b.submit(t)
		got, err := b.servers[0].outbox.FollowCancel(t.Context(), canceled, 0, job.Cancel{By: job.PolicyAuthor, At: b.clock()}, false)
		must(t, err)
		if got.Run == nil || got.Run.State != job.Canceled {
			t.Errorf("%+v", got)
		}
	})
}

// Time in which the submitter or a person wants a run to wait does not count, that before and after it does.
func TestWhatCountsAsWaiting(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		s := b.servers[0]
		since := func(run string) time.Duration { // how long the wait counts
			w, err := s.health.WaitingRun(t.Context(), run, b.clock())
			must(t, err)
			if w.Since.IsZero() {
				return -1
			}
			return b.clock().Sub(w.Since)
		}
		want := func(run, when string, d time.Duration) {
			t.Helper()
			if got := since(run); got != d {
				t.Errorf("%s: %s count, want %s", when, got, d)
			}
		}
		pause := func(paused bool) {
			t.Helper()
			at := "NULL"
			if paused {
				at = "1"
			}
			must(t, s.Change(t.Context(), "pause", `UPDATE definitions SET paused_at = `+at+` WHERE job = 'report'`))
			b.match(t)
		}
		run := b.submit(t)
		b.pass(20 * time.Minute)
		want(run, "at once", 20*time.Minute)
		pause(true)
		b.pass(time.Hour)
		want(run, "paused", -1)
		pause(false)
		b.pass(10 * time.Minute)
		want(run, "resumed", 30*time.Minute)
		c := b.claimOne(t, "w1")
		b.pass(5 * time.Second)
		want(run, "claimed", 30*time.Minute+5*time.Second)
		must(t, b.release("w1", c.Claim, "no room"))
		b.pass(5 * time.Second)
		want(run, "given back", 30*time.Minute+10*time.Second)
		must(t, s.Write(t.Context(), db.None, func(tx *db.Tx) error {
			_, err := storequeue.HoldAll(t.Context(), tx, "restored")
			return err
		}))
		b.pass(time.Hour)
		want(run, "held", -1)
		_, err := s.queue.ReleaseHeld(t.Context(), "")
		must(t, err)
		want(run, "released", 30*time.Minute+10*time.Second)

		submitted := func(r job.SubmitRequest) string {
			id := uuid.Must(uuid.NewV7()).String()
			r.Job = "report"
			_, _, err := s.queue.Submit(t.Context(), id, r, "ada", false)
			must(t, err)
			return id
		}
		delayed := submitted(job.SubmitRequest{DelayMS: time.Hour.Milliseconds()})
		after := submitted(job.SubmitRequest{After: []job.Dependency{{Run: delayed, When: "ended"}}})
		b.pass(time.Hour)
		want(delayed, "before its time", -1)
		b.match(t)
		b.pass(time.Minute)
		want(delayed, "after its time", time.Minute)
		want(after, "after another run", -1)
	})
}

// A group without a free place counts, and what is found says so.
func TestWaitingForAGroup(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		s := b.servers[0]
		_, err := s.DB.Writer.ExecContext(t.Context(), `INSERT INTO queue_groups (name, run_limit, set_at, set_by) VALUES ('warehouse', 0, 0, '')`)
		must(t, err)
		id := uuid.Must(uuid.NewV7()).String()
		_, _, err = s.queue.Submit(t.Context(), id, job.SubmitRequest{Job: "load", Group: "warehouse", Command: &job.Spec{Args: []string{"true"}}}, "ada", true)
		must(t, err)
		b.match(t)
		b.pass(time.Hour)
		_, err = s.Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.Commands = true }))
		must(t, err)
		b.judgeWaiting(t, s, policy.Default())
		b.wantHealth(t, id, job.Queued, job.Warning, 1)
		page, last, err := s.health.Waiting(t.Context(), "", 1, b.clock())
		must(t, err)
		if len(page) != 1 || page[0].Gate != queue.Full || page[0].Line.Group != "warehouse" || len(page[0].Findings) != 1 || last == "" {
			t.Errorf("%+v, %q", page, last)
		}
		page, last, err = s.health.Waiting(t.Context(), last, 1, b.clock())
		if must(t, err); len(page) != 0 || last != "" {
			t.Errorf("the page after the last: %+v, %q", page, last)
		}
	})
}

// An occurrence of a schedule has less time.
func TestWaitingOfAnOccurrence(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		s := b.servers[0]
		run := b.submit(t)
		must(t, s.Change(t.Context(), "note the occurrence", `INSERT INTO occurrences (job, number, at, last, count, result, why, run_id, nth) VALUES ('report', 1, 1, 1, 1, 'submitted', '', $1, 0)`, run))
		b.pass(15*time.Minute - time.Second)
		b.asks(t, "w1")
		b.judgeWaiting(t, s, policy.Default())
		b.wantHealth(t, run, job.Queued, "", 0)
		b.pass(time.Second)
		b.judgeWaiting(t, s, policy.Default())
		b.wantHealth(t, run, job.Queued, job.Warning, 1)
	})
}
