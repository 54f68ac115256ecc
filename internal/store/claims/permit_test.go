package claims

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	rules "stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

// Nothing of an attempt without a permit is stored, whichever token sends it.
func TestAppendsWithoutAPermit(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		p := newProcess(t, job.Claim{Run: run, Attempt: 1, Job: "report"}, "h")
		for name, a := range map[string]index.Append{
			"the beginning":   {Data: p.first},
			"a part of it":    {Data: p.first[:20]},
			"a later process": {Writer: 3},
			"attempt 2":       {Attempt: 2, Data: p.first},
		} {
			a.Run, a.Attempt, a.At = run, max(a.Attempt, 1), noon
			got, _, err := b.servers[0].intake.Ingest(t.Context(), []index.Append{a}, nil)
			must(t, err)
			var submitted *index.SubmittedError
			if !errors.As(got[0].Err, &submitted) {
				t.Errorf("%s: %+v", name, got[0])
			}
		}
		if n, err := b.servers[0].ReadTexts(t.Context(), `SELECT run_id FROM attempts`); err != nil || len(n) != 0 {
			t.Errorf("attempts of %q, %v", n, err)
		}
		if got := b.beat(t, b.servers[0], run, 1); got.Owner || !got.Known {
			t.Errorf("a heartbeat without a permit: %+v", got)
		}
		if row := b.run(t, run); row.Run.State != job.Queued || row.Run.Attempt != 0 {
			t.Errorf("the run is %s", row.Run.State)
		}
	})
}

// A question that no process with a claim asks is refused, and changes nothing.
func TestQuestionsThatAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		other := b.submit(t)
		ask := func(change func(*process)) job.Permit {
			p := newProcess(t, c, "h")
			change(p)
			return b.ask(t, b.servers[0], p)
		}
		for name, got := range map[string]job.Permit{
			"a forged token": ask(func(p *process) { p.claim.Token = access.ClaimToken([]byte("another key"), c.Claim) }),
			"another run":    b.ask(t, b.servers[0], newProcess(t, job.Claim{Run: other, Attempt: 1, Job: "report", Token: c.Token}, "h")),
			"attempt 2":      b.ask(t, b.servers[0], newProcess(t, job.Claim{Run: run, Attempt: 2, Job: "report", Token: c.Token}, "h")),
			"no run":         b.ask(t, b.servers[0], newProcess(t, job.Claim{Run: "0199aaaa-0000-7000-8000-000000000001", Attempt: 1, Job: "report", Token: c.Token}, "h")),
		} {
			if got.Answer != job.PermitRefused || got.Why == "" || got.AttemptToken != "" {
				t.Errorf("%s: %+v", name, got)
			}
		}
		p := newProcess(t, c, "h")
		for name, data := range map[string][]byte{"a part": p.first[:len(p.first)-1], "nothing": {}, "rubbish": []byte(fmt.Sprintf("%64d", 0))} {
			got, _, err := b.servers[0].intake.Ingest(t.Context(), []index.Append{{
				Run: run, Attempt: 1, Data: data, At: noon, Permit: &index.PermitRequest{Claim: c.Token, Incarnation: p.incarnation},
			}}, nil)
			must(t, err)
			if got[0].Err == nil || got[0].Permit != nil {
				t.Errorf("%s: %+v", name, got[0])
			}
		}
		if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitGranted {
			t.Errorf("the right one: %+v", got)
		}
	})
}

// A permit is the first process's, which may ask as often as it likes.
func TestTheFirstProcessWins(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		p, q := newProcess(t, c, "a"), newProcess(t, c, "b")
		first := b.ask(t, b.servers[0], p)
		if got := b.ask(t, b.servers[1], q); got.Answer != job.PermitRefused || got.Why != "another process has the permit to start attempt 1" {
			t.Errorf("the second process: %+v", got)
		}
		b.pass(20 * time.Second)
		if got := b.ask(t, b.servers[1], p); got != first {
			t.Errorf("again: %+v, first %+v", got, first)
		}
		if row := b.run(t, run); !row.ExpiresAt.Equal(b.clock().Add(30 * time.Second)) {
			t.Errorf("the lease ends at %s", row.ExpiresAt)
		}
		p.begin(t, noon)
		b.send(t, b.servers[0], p)
		if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitRefused {
			t.Errorf("after it began: %+v", got)
		}
	})
}

// A lost attempt that has not begun is granted again; one that is to be tried again is not.
func TestAskingAfterTheLeaseHasEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
		b.ask(t, b.servers[0], p)
		b.pass(31 * time.Second)
		if b.judge(t, b.servers[1]) != 1 {
			t.Fatal("it is not lost")
		}
		if row := b.run(t, run); row.Run.State != job.Retrying {
			t.Fatalf("the run is %s", row.Run.State)
		}
		if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitRefused {
			t.Errorf("%+v", got)
		}
		// Its heartbeat takes attempt 2 off the queue, also from a worker that has claimed it.
		c := b.claimOne(t, "w2")
		if c.Attempt != 2 {
			t.Fatalf("%+v", c)
		}
		if got := b.beat(t, b.servers[0], run, 1); !got.Owner || len(got.Events) != 1 || got.Events[0].From != "retrying" || got.Events[0].To != "starting" {
			t.Fatalf("%+v", got)
		}
		if waiting, claims := b.waits(t, run); waiting+claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
		if got := b.ask(t, b.servers[1], newProcess(t, c, "host of w2")); got.Answer != job.PermitRefused {
			t.Errorf("%+v", got)
		}
		p.begin(t, noon)
		p.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))
		b.send(t, b.servers[0], p)
		if row := b.run(t, run); row.Run.State != job.Succeeded || row.Run.Attempt != 1 {
			t.Errorf("the run is %s in attempt %d", row.Run.State, row.Run.Attempt)
		}
	})
}

// From the permit of the next attempt on, a lost one that returns learns that it was superseded.
func TestTheOriginalReturnsTooLate(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
		b.ask(t, b.servers[0], p)
		p.begin(t, noon)
		b.send(t, b.servers[0], p)
		b.pass(time.Minute)
		b.judge(t, b.servers[0])
		b.match(t)
		_, err := b.servers[0].Claim(t.Context(), "w2", b.poll("w2", func(r *job.ClaimRequest) { r.Free = 0 }))
		must(t, err)
		b.pass(2 * time.Second)
		if reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil)); err != nil || len(reply.Claims) != 0 {
			t.Errorf("the host that was lost got %+v, %v", reply, err)
		}
		q := newProcess(t, b.claimOne(t, "w2"), "host of w2")
		if got := b.ask(t, b.servers[1], q); got.Answer != job.PermitGranted {
			t.Fatalf("%+v", got)
		}
		if got := b.beat(t, b.servers[0], run, 1); got.Owner || !got.Known {
			t.Errorf("the heartbeat of attempt 1: %+v", got)
		}
		p.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))
		if got := b.send(t, b.servers[0], p); got.Err != nil || len(got.Events) != 0 {
			t.Errorf("the journal of attempt 1: %+v", got)
		}
		if row := b.run(t, run); row.Run.State != job.Starting || row.Run.Attempt != 2 || row.Run.Host != "host of w2" {
			t.Errorf("the run is %s in attempt %d on %s", row.Run.State, row.Run.Attempt, row.Run.Host)
		}
	})
}

// An attempt that fails is followed by others, as the definition says; memory grows.
func TestRetries(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		oom := job.Outcome{State: job.Failed, Reason: job.OutOfMemory, Message: "Killed."}
		for attempt := 1; attempt <= 4; attempt++ {
			worker := fmt.Sprint("w", attempt)
			c := b.claimOne(t, worker)
			if c.Attempt != attempt || c.Spec.MemoryBytes != 1<<(29+attempt) {
				t.Fatalf("attempt %d has %d bytes", c.Attempt, c.Spec.MemoryBytes)
			}
			p := newProcess(t, c, "host of "+worker)
			b.ask(t, b.servers[0], p)
			p.begin(t, b.clock())
			p.end(t, b.clock(), oom)
			done := b.send(t, b.servers[1], p)
			must(t, done.Err)
			last := done.Events[len(done.Events)-1]
			if want := map[bool]job.State{true: job.Retrying, false: job.Failed}[attempt < 4]; last.To != string(want) || last.Rule != string(job.Ended) {
				t.Fatalf("attempt %d: %+v", attempt, last)
			}
			b.pass(time.Minute)
		}
		if waiting, claims := b.waits(t, run); waiting+claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
		outbox, err := b.servers[0].ReadTexts(t.Context(), `SELECT kind || ' ' || what FROM outbox WHERE run_id = $1`, run)
		if err != nil || !slices.Equal(outbox, []string{"notify failed"}) {
			t.Errorf("people are notified of %q, %v", outbox, err)
		}
	})
}

// The journal that a lost attempt left behind is completed by another process while the next attempt
// waits.
func TestALostJournalIsDelivered(t *testing.T) {
	for name, c := range map[string]struct {
		outcome job.Outcome
		state   job.State
	}{
		"it had succeeded": {job.Classify(job.Ending{Kind: job.CommandStep}), job.Succeeded},
		"it was lost":      {job.Unfinished(true, noon), job.Retrying},
		"it had failed":    {job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 1}), job.Retrying},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b *bench) {
				run := b.submit(t)
				p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
				b.ask(t, b.servers[0], p)
				p.begin(t, noon)
				b.send(t, b.servers[0], p)
				b.pass(time.Minute)
				b.judge(t, b.servers[0])
				_, _, err := b.servers[0].intake.Ingest(t.Context(), []index.Append{{Run: run, Attempt: 1, Offset: p.sent, Writer: 1, At: b.clock()}}, nil)
				must(t, err)
				if row := b.run(t, run); row.Run.State != job.Retrying {
					t.Fatalf("after a process took its journal over the run is %s", row.Run.State)
				}
				p.end(t, noon, c.outcome)
				at := p.sent
				got, _, err := b.servers[0].intake.Ingest(t.Context(), []index.Append{{Run: run, Attempt: 1, Offset: at, Writer: 1, Data: p.journal.Bytes()[at:], At: b.clock()}}, nil)
				must(t, err)
				must(t, got[0].Err)
				waiting, _ := b.waits(t, run)
				if row := b.run(t, run); row.Run.State != c.state || (waiting == 1) != (c.state == job.Retrying) {
					t.Errorf("the run is %s, %d wait", row.Run.State, waiting)
				}
			})
		})
	}
}

func TestListWorkers(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		for range 2 {
			b.submit(t)
		}
		reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) {
			none := 0.0 // its host is busy
			r.Labels, r.FreeMemoryBytes, r.FreeCPUs, r.Commands = map[string]string{"zone": "fra"}, 1<<30, &none, true
		}))
		must(t, err)
		b.ask(t, b.servers[0], newProcess(t, reply.Claims[0], "h"))
		_, err = b.servers[0].Claim(t.Context(), "w0", b.poll("w0", func(r *job.ClaimRequest) { r.Leaving = true }))
		must(t, err)
		must(t, b.servers[0].DrainWorker(t.Context(), "w0", job.Drain{By: "ada", At: noon}))
		all, err := b.servers[1].ListWorkers(t.Context())
		must(t, err)
		if len(all) != 2 || all[0].Name != "w0" || all[0].Live || all[0].Drain == nil || all[0].Drain.By != "ada" || all[0].FreeMemoryBytes != nil || all[0].FreeCPUs != nil {
			t.Fatalf("%+v", all)
		}
		if w := all[1]; !w.Live || w.Claimed != 1 || w.Active != 1 || w.Host != "host of w1" || w.Labels["zone"] != "fra" || *w.FreeMemoryBytes != 1<<30 || w.FreeCPUs == nil || *w.FreeCPUs != 0 ||
			!w.Commands || w.Slots != 4 || w.Drain != nil || !w.FirstAt.Equal(noon) || !w.LastAt.Equal(noon) {
			t.Errorf("%+v", w)
		}
		b.pass(time.Minute)
		if all, err = b.servers[0].ListWorkers(t.Context()); err != nil || all[1].Live {
			t.Errorf("at the server that it asked: %+v, %v", all, err)
		}
		must(t, b.servers[0].EndLeases(t.Context()))
		if all, err = b.servers[1].ListWorkers(t.Context()); err != nil || all[1].Live {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// A person can ask for another attempt of a run that has ended, whatever its definition says.
func TestAttemptsThatPeopleAskFor(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
		b.ask(t, b.servers[0], p)
		retry := func() error {
			_, events, err := b.servers[0].outbox.RequestRetry(t.Context(), run, 0, "ada", "again", b.clock())
			if err == nil && (len(events) != 1 || events[0].To != string(job.Retrying)) {
				t.Errorf("%+v", events)
			}
			return err
		}
		var no *rules.NoRetryError
		if err := retry(); !errors.As(err, &no) {
			t.Errorf("of a run that has not ended: %v", err)
		}
		p.begin(t, b.clock())
		p.end(t, b.clock(), job.Outcome{State: job.TimedOut, Reason: job.Timeout, Message: "Too long."})
		must(t, b.send(t, b.servers[0], p).Err)
		if row := b.run(t, run); row.Run.State != job.TimedOut {
			t.Fatalf("the run is %s", row.Run.State)
		}
		must(t, retry())
		c := b.claimOne(t, "w1")
		if c.Attempt != 2 {
			t.Fatalf("%+v", c)
		}
		q := newProcess(t, c, "host of w1")
		b.ask(t, b.servers[0], q)
		q.begin(t, b.clock())
		q.end(t, b.clock(), job.Classify(job.Ending{Kind: job.CommandStep}))
		must(t, b.send(t, b.servers[0], q).Err)
		if err := retry(); !errors.As(err, &no) || b.run(t, run).Run.State != job.Succeeded {
			t.Errorf("of a run that succeeded: %v", err)
		}
	})
}

// A run that is canceled while it waits for its next attempt stays canceled, and the one that was lost is
// asked to stop if it reports again.
func TestCancelBetweenAttempts(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
		b.ask(t, b.servers[0], p)
		p.begin(t, b.clock())
		b.send(t, b.servers[0], p)
		b.pass(time.Minute)
		b.judge(t, b.servers[0])
		c := b.claimOne(t, "w2")
		canceled, _, err := b.servers[0].outbox.RequestCancel(t.Context(), run, job.Cancel{By: "bob", At: b.clock()})
		if must(t, err); canceled.State != job.Canceled {
			t.Fatalf("the run is %s", canceled.State)
		}
		if got := b.ask(t, b.servers[1], newProcess(t, c, "host of w2")); got.Answer != job.PermitRefused || got.Why != "the run was canceled by bob" {
			t.Errorf("%+v", got)
		}
		if got := b.beat(t, b.servers[1], run, 1); got.Cancel == nil || got.Cancel.By != "bob" || got.Ended {
			t.Errorf("%+v", got)
		}
		p.end(t, b.clock(), job.Outcome{State: job.Canceled, Reason: job.ByCancel, Message: "Canceled by bob."})
		must(t, b.send(t, b.servers[0], p).Err)
		b.pass(time.Minute)
		_, err = b.servers[0].EndOverdueClaims(t.Context())
		must(t, err)
		if waiting, claims := b.waits(t, run); waiting+claims != 0 || b.run(t, run).Run.State != job.Canceled {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
	})
}
