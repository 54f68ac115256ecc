package claims

import (
	"errors"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// The copy has the first attempt as active, and the second one started since: the first one has ended, and the journal
// of the second one is taken at once. A later attempt would get its number if it came late.
func TestNextAttemptReportsToARestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		first := newProcess(t, b.claimOf(t, run), "h")
		if got := b.ask(t, b.servers[0], first); got.Answer != job.PermitGranted {
			t.Fatalf("%+v", got)
		}
		first.begin(t, noon)
		must(t, b.send(t, b.servers[0], first).Err)
		sent := int(first.sent)
		restore := b.copied(t)
		first.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 3}))
		must(t, b.send(t, b.servers[0], first).Err)
		second := newProcess(t, b.claimOf(t, run), "h")
		if got := b.ask(t, b.servers[0], second); got.Answer != job.PermitGranted || second.claim.Attempt != 2 {
			t.Fatalf("%+v, attempt %d", got, second.claim.Attempt)
		}
		second.begin(t, noon)
		second.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))

		r := restore()
		r.pass(time.Second)
		r.hold(t)
		if got := r.sendFrom(t, second, 0); got.Err != nil {
			t.Fatal(got.Err)
		}
		if row := r.run(t, run); row.Run.State != job.Succeeded || row.Run.Attempt != 2 {
			t.Errorf("the run is %+v", row.Run)
		}
		if waiting, claims := r.waits(t, run); waiting+claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
		r.wantNoLoss(t, run)
		r.wantNoContradiction(t)

		// The first attempt, which the lost database may have called lost, is not the run's any more.
		if got := r.beatOf(t, first); got.Owner || !got.Known {
			t.Errorf("a heartbeat of the first attempt: %+v", got)
		}
		if got := r.sendFrom(t, first, sent); got.Err != nil {
			t.Errorf("the journal of the first attempt: %+v", got)
		}
		if row := r.run(t, run); row.Run.State != job.Succeeded || row.Run.Attempt != 2 {
			t.Errorf("the run is %+v", row.Run)
		}
	})
}

// The copy was made before the first attempt. The restored database gives it to a worker again after a person has released
// it, and then a process of the second attempt of the lost database reports: it has to wait, because the first attempt
// of this database is alive.
func TestNextAttemptBesideOneOfTheRestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		restore := b.copied(t)
		first := newProcess(t, b.claimOf(t, run), "h")
		b.ask(t, b.servers[0], first)
		first.begin(t, noon)
		first.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 3}))
		must(t, b.send(t, b.servers[0], first).Err)
		second := newProcess(t, b.claimOf(t, run), "h")
		b.ask(t, b.servers[0], second)
		second.begin(t, noon)
		second.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))

		r := restore()
		r.pass(time.Second)
		r.hold(t)
		r.releaseAll(t)
		again := newProcess(t, r.claimOf(t, run), "h")
		if got := r.ask(t, r.servers[0], again); got.Answer != job.PermitGranted || again.claim.Attempt != 1 {
			t.Fatalf("%+v, attempt %d", got, again.claim.Attempt)
		}
		var early *index.TooEarlyError
		if got := r.sendFrom(t, second, 0); !errors.As(got.Err, &early) {
			t.Errorf("while the first attempt is active: %+v", got)
		}
		if got := r.beatOf(t, second); !got.Owner || r.run(t, run).Run.Attempt != 1 {
			t.Errorf("beside attempt 1: %+v", got)
		}
		again.begin(t, r.clock())
		again.end(t, r.clock(), job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 3}))
		must(t, r.send(t, r.servers[0], again).Err)
		if got := r.sendFrom(t, second, 0); got.Err != nil {
			t.Fatal(got.Err)
		}
		if row := r.run(t, run); row.Run.State != job.Succeeded || row.Run.Attempt != 2 {
			t.Errorf("the run is %+v", row.Run)
		}
		r.wantNoContradiction(t)
	})
}
