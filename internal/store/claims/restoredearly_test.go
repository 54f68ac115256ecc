package claims

import (
	"errors"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// The copy has the first attempt as active, and the second one started since. Its journal is taken when the first one is
// called lost, and refused for now until then: what is refused for good is not sent again.
func TestNextAttemptReportsToARestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		first := newProcess(t, b.claimOf(t, run), "h")
		if got := b.ask(t, b.servers[0], first); got.Answer != job.PermitGranted {
			t.Fatalf("%+v", got)
		}
		first.begin(t, noon)
		must(t, b.send(t, b.servers[0], first).Err)
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
		r.hold(t)
		var early *index.TooEarlyError
		if got := r.sendFrom(t, second, 0); !errors.As(got.Err, &early) {
			t.Errorf("while the first attempt is active: %+v", got)
		}
		r.pass(time.Hour)
		if n := r.judge(t, r.servers[0]); n != 1 {
			t.Fatalf("%d runs were judged", n)
		}
		if row := r.run(t, run); row.Run.State != job.Retrying {
			t.Fatalf("the run is %+v", row.Run)
		}
		if got := r.sendFrom(t, second, 0); got.Err != nil {
			t.Fatal(got.Err)
		}
		if row := r.run(t, run); row.Run.State != job.Succeeded || row.Run.Attempt != 2 {
			t.Errorf("the run is %+v", row.Run)
		}
		if waiting, claims := r.waits(t, run); waiting+claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
		r.wantNoContradiction(t)
	})
}
