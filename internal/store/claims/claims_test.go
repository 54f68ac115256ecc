package claims

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// A run goes from the queue to its end, and the worker gets its slot back.
func TestFromTheQueueToTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		if c.Run != run || c.Attempt != 1 || c.Definition != definitionHash || c.LeftMS != 15_000 || c.Spec.MemoryBytes != 1<<30 || !access.IsClaimToken(c.Token) {
			t.Fatalf("the claim is %+v", c)
		}
		p := newProcess(t, c, "host of w1")
		got := b.ask(t, b.servers[1], p)
		if got.Answer != job.PermitGranted || got.LeaseMS != 30_000 {
			t.Fatalf("the permit is %+v", got)
		}
		if by, ok := access.CheckAttemptToken(b.servers[0].TokenKey(), got.AttemptToken, run, 1); !ok || by != p.incarnation {
			t.Errorf("the token is of %q, %v", by, ok)
		}
		row := b.run(t, run)
		if row.Run.State != job.Starting || row.Run.Attempt != 1 || row.Run.Host != "host of w1" || row.Run.Submitted.Worker != "w1" || row.Run.Number != 1 {
			t.Errorf("the run is %+v", row.Run)
		}
		p.begin(t, noon)
		p.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))
		if done := b.send(t, b.servers[0], p); done.Err != nil {
			t.Fatal(done.Err)
		}
		row = b.run(t, run)
		if row.Run.State != job.Succeeded || row.Run.Submitted == nil || row.Run.Submitted.By != "ada" {
			t.Errorf("the run is %+v", row.Run)
		}
		if n := b.work(t, "w1"); n != 0 {
			t.Errorf("the worker has %d runs", n)
		}
	})
}

// work is what counts for the slots of a worker.
func (b *bench) work(t testing.TB, worker string) (n int) {
	t.Helper()
	must(t, b.servers[0].Write(t.Context(), db.None, func(tx *db.Tx) (err error) {
		has, err := countWork(t.Context(), tx, []string{worker})
		n = has[worker]
		return err
	}))
	return n
}

// The same request again, at any server, has the same answer, also beside the first.
func TestARepeatedRequestHasTheSameClaims(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		for range 3 {
			b.submit(t)
		}
		r := b.poll("w1", func(r *job.ClaimRequest) { r.Free = 2 })
		first, err := b.servers[0].Claim(t.Context(), "w1", r)
		must(t, err)
		if len(first.Claims) != 2 || first.ClaimID != r.ClaimID || first.Server == "" || !first.Now.Equal(noon) {
			t.Fatalf("%+v", first)
		}
		b.pass(4 * time.Second)
		again, err := b.servers[1].Claim(t.Context(), "w1", r)
		must(t, err)
		for i := range again.Claims {
			if again.Claims[i].LeftMS != 11_000 {
				t.Errorf("%d ms are left", again.Claims[i].LeftMS)
			}
			again.Claims[i].LeftMS = first.Claims[i].LeftMS
		}
		if len(again.Claims) != 2 || again.Claims[0].Token != first.Claims[0].Token || again.Claims[1].Run != first.Claims[1].Run {
			t.Errorf("%+v\nfirst %+v", again, first)
		}
		b.ask(t, b.servers[0], newProcess(t, first.Claims[0], "h"))
		if again, err = b.servers[0].Claim(t.Context(), "w1", r); err != nil || len(again.Claims) != 1 {
			t.Errorf("after a permit: %+v, %v", again, err)
		}
		b.pass(time.Minute)
		if again, err = b.servers[0].Claim(t.Context(), "w1", r); err != nil || len(again.Claims) != 0 {
			t.Errorf("after the end of the claims: %+v, %v", again, err)
		}
	})
}

func TestOneRequestAtTwoServersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		for range 4 {
			b.submit(t)
		}
		r := b.poll("w1", func(r *job.ClaimRequest) { r.Free = 2 })
		replies := make(chan job.ClaimReply, 8)
		failed := make(chan error, 8)
		for i := range 8 {
			go func() {
				reply, err := b.servers[i%2].Claim(t.Context(), "w1", r)
				replies <- reply
				failed <- err
			}()
		}
		var tokens []string
		for range 8 {
			reply := <-replies
			must(t, <-failed)
			if len(reply.Claims) != 2 {
				t.Errorf("%d claims", len(reply.Claims))
			}
			for _, c := range reply.Claims {
				tokens = append(tokens, c.Token)
			}
		}
		slices.Sort(tokens)
		if tokens = slices.Compact(tokens); len(tokens) != 2 {
			t.Errorf("%d claims were given", len(tokens))
		}
	})
}

// A worker gets no more than its slots allow, whatever it says is free.
func TestSlots(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		for range 5 {
			b.submit(t)
		}
		got := func(change func(*job.ClaimRequest)) int {
			reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", change))
			must(t, err)
			for _, c := range reply.Claims {
				b.ask(t, b.servers[0], newProcess(t, c, "h"))
			}
			return len(reply.Claims)
		}
		if n := got(func(r *job.ClaimRequest) { r.Leaving = true }); n != 0 {
			t.Errorf("a worker that ends got %d", n)
		}
		if n := got(func(r *job.ClaimRequest) { r.Slots, r.Free = 3, 2 }); n != 2 {
			t.Errorf("with 2 free it got %d", n)
		}
		if n := got(func(r *job.ClaimRequest) { r.Slots, r.Free = 3, 3 }); n != 1 {
			t.Errorf("with 3 slots, 2 active runs and 3 free it got %d", n)
		}
		b.pass(time.Minute)
		b.judge(t, b.servers[0])
		b.match(t)
		if n := got(func(r *job.ClaimRequest) { r.Slots, r.Free = 3, 3 }); n != 3 {
			t.Errorf("after its runs were lost it got %d", n)
		}
	})
}

// A claim lasts as long as its worker names it, and then the run waits again.
func TestClaimsEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		for range 3 {
			b.pass(10 * time.Second)
			_, err := b.servers[1].Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.Free, r.Starting = 0, []string{c.Claim, "another"} }))
			must(t, err)
		}
		if _, claims := b.waits(t, run); claims != 1 {
			t.Fatal("the claim ended although it was named")
		}
		_, err := b.servers[1].Claim(t.Context(), "w2", b.poll("w2", func(r *job.ClaimRequest) { r.Free, r.Starting = 0, []string{c.Claim} }))
		must(t, err)
		b.pass(15*time.Second + time.Microsecond)
		_, err = b.servers[1].EndOverdueClaims(t.Context())
		must(t, err)
		if waiting, claims := b.waits(t, run); waiting != 1 || claims != 0 {
			t.Fatalf("%d wait, %d claims", waiting, claims)
		}
		if got := b.ask(t, b.servers[0], newProcess(t, c, "h")); got.Answer != job.PermitRefused || got.Why != "the claim has ended" {
			t.Errorf("%+v", got)
		}
		again := b.claimOne(t, "w2")
		if again.Attempt != 1 || again.Claim == c.Claim || again.Token == c.Token {
			t.Errorf("the next claim is %+v", again)
		}
		must(t, b.release("w1", again.Claim, "not mine"))
		if _, claims := b.waits(t, run); claims != 1 {
			t.Error("a worker released the claim of another one")
		}
		must(t, b.release("w2", again.Claim, "no such directory"))
		must(t, b.release("w2", again.Claim, "no such directory"))
		if waiting, claims := b.waits(t, run); waiting != 1 || claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
	})
}

func (b *bench) release(worker, claim, why string) error {
	_, _, err := b.servers[0].ReleaseClaim(b.t.Context(), worker, claim, why)
	return err
}

// A server that was away gives every claim its whole time again.
func TestExtendClaims(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		b.claimOne(t, "w1")
		b.pass(time.Hour)
		must(t, b.servers[0].ExtendClaims(t.Context()))
		_, err := b.servers[0].EndOverdueClaims(t.Context())
		must(t, err)
		if _, claims := b.waits(t, run); claims != 1 {
			t.Error("the claim ended")
		}
	})
}

// A worker that cannot start a definition does not get it for a while; a run that nobody can start ends.
func TestClaimsThatAreGivenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		for range 3 {
			must(t, b.release("w1", b.claimOne(t, "w1").Claim, "no such directory"))
		}
		reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
		if err != nil || len(reply.Claims) != 0 {
			t.Fatalf("after three claims it got %+v, %v", reply, err)
		}
		b.pass(10 * time.Minute)
		must(t, b.release("w1", b.claimOne(t, "w1").Claim, "no such directory"))
		c := b.claimOne(t, "w2")
		ended, events, err := b.servers[0].ReleaseClaim(t.Context(), "w2", c.Claim, "no such user")
		must(t, err)
		if ended.State != job.Failed || len(events) != 2 || events[0].Kind != job.EventClaimEnded || events[1].To != "failed" {
			t.Errorf("%+v, %+v", ended, events)
		}
		row := b.run(t, run)
		if o := row.Run.Outcome; row.Run.State != job.Failed || o == nil || o.Reason != job.CouldNotStart || !strings.Contains(o.Message, "no such user") || row.Run.EndedAt == nil {
			t.Errorf("the run is %s, %+v", row.Run.State, o)
		}
		if waiting, claims := b.waits(t, run); waiting+claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
	})
}

// What a worker gives back because it ends says nothing about the run.
func TestClaimsOfAWorkerThatEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		for range 7 {
			c := b.claimOne(t, "w1")
			_, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.Free, r.Leaving = 0, true }))
			must(t, err)
			must(t, b.release("w1", c.Claim, "the worker ends"))
			b.pass(time.Second)
		}
		if row := b.run(t, run); row.Run.State != job.Queued {
			t.Errorf("the run is %s", row.Run.State)
		}
	})
}

func TestNamesOfWorkers(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		_, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
		must(t, err)
		other := b.poll("w1", func(r *job.ClaimRequest) { r.WorkerID, r.Host = "another", "elsewhere" })
		b.pass(49 * time.Second)
		var taken *queue.NameTakenError
		if _, err := b.servers[1].Claim(t.Context(), "w1", other); !errors.As(err, &taken) || taken.Host != "host of w1" {
			t.Errorf("another worker of the name: %v", err)
		}
		b.pass(time.Second)
		must(t, b.servers[0].EndLeases(t.Context()))
		if _, err := b.servers[1].Claim(t.Context(), "w1", other); err != nil {
			t.Error(err)
		}
		for name, r := range map[string]job.ClaimRequest{
			"w/1": b.poll("w1", nil), "w1": b.poll("w1", func(r *job.ClaimRequest) { r.ClaimID = "" }),
			"w2": b.poll("w2", func(r *job.ClaimRequest) { r.Slots = -1 }), "w3": b.poll("w3", func(r *job.ClaimRequest) { r.WaitMS = 1 << 40 }),
			"w4": b.poll("w4", func(r *job.ClaimRequest) { r.Labels = map[string]string{"a\x00": "c"} }), "w5": b.poll("w5", func(r *job.ClaimRequest) { r.Host = "a\x00" }),
			"w6": b.poll("w6", func(r *job.ClaimRequest) { r.Allow = []string{"a#1"} }),
		} {
			var invalid *job.InvalidError
			if _, err := b.servers[0].Claim(t.Context(), name, r); !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A drained worker gets nothing, and what it has not started goes to another one.
func TestDrain(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		started := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
		b.ask(t, b.servers[0], p)
		waits := b.submit(t)
		c := b.claimOne(t, "w1")
		stop := noon.Add(time.Hour)
		must(t, b.servers[1].DrainWorker(t.Context(), "w1", job.Drain{By: "ada", Reason: "a new kernel", At: b.clock(), StopBy: &stop}))
		if got := b.ask(t, b.servers[0], newProcess(t, c, "h")); got.Answer != job.PermitRefused {
			t.Errorf("%+v", got)
		}
		reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
		must(t, err)
		if len(reply.Claims) != 0 || reply.Draining != "drained by ada: a new kernel" || !reply.StopBy.Equal(stop) {
			t.Errorf("%+v", reply)
		}
		if got := b.claimOne(t, "w2"); got.Run != waits {
			t.Errorf("%+v", got)
		}
		if row := b.run(t, started); row.Run.State != job.Starting {
			t.Errorf("the run that had started is %s", row.Run.State)
		}
		must(t, b.servers[0].ResumeWorker(t.Context(), "w1"))
		next := b.submit(t)
		if got := b.claimOne(t, "w1"); got.Run != next {
			t.Errorf("%+v", got)
		}
		var unknown *query.NotFoundError
		if err := b.servers[0].DrainWorker(t.Context(), "w9", job.Drain{By: "ada", At: noon}); !errors.As(err, &unknown) {
			t.Error(err)
		}
	})
}

// With a database that may lose what it has committed, no claims are given.
func TestRelaxed(t *testing.T) {
	b := newBench(t, "SQLite")
	b.submit(t)
	relaxed := New(b.servers[0].DB, true)
	must(t, relaxed.OpenTokenKey(t.Context()))
	if reply, err := relaxed.Claim(t.Context(), "w1", b.poll("w1", nil)); err != nil || len(reply.Claims) != 0 {
		t.Errorf("%+v, %v", reply, err)
	}

	// Nor permits, for claims that the server before has given.
	p := newProcess(t, b.claimOne(t, "w1"), "h")
	one := b.servers[0]
	one.intake = intake.New(one.DB, troubled.New(one.DB), blocks.New(one.DB, uuid.NewString(), nil, 0), relaxed)
	if got := b.ask(t, one, p); got.Answer != job.PermitRefused || !strings.Contains(got.Why, "durability") {
		t.Errorf("%+v", got)
	}
	if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitGranted {
		t.Errorf("%+v", got)
	}
}

// Workers that are gone for long are forgotten.
func TestTidy(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		_, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
		must(t, err)
		for after, want := range map[time.Duration]int{29 * 24 * time.Hour: 1, 31 * 24 * time.Hour: 0} {
			if want == 0 {
				must(t, b.servers[0].TidyWorkers(t.Context(), noon.Add(after)))
			}
			names, err := b.servers[0].ReadTexts(t.Context(), `SELECT name FROM workers`)
			if want == 0 && (err != nil || len(names) != 0) {
				t.Errorf("%q, %v", names, err)
			}
		}
	})
}

func TestEndedClaimsAreCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.submit(t)
		one := b.servers[0]
		want := func(released, overdue int64) {
			t.Helper()
			if r, o := one.EndedClaims(); r != released || o != overdue {
				t.Errorf("%d released, %d overdue", r, o)
			}
		}
		c := b.claimOne(t, "w1")
		for range 2 { // the second time it has ended
			_, _, err := one.ReleaseClaim(t.Context(), "w1", c.Claim, "no disk")
			must(t, err)
			want(1, 0)
		}
		b.claimOne(t, "w1")
		b.pass(time.Minute)
		_, err := one.EndOverdueClaims(t.Context())
		must(t, err)
		want(1, 1)
		b.ask(t, one, newProcess(t, b.claimOne(t, "w2"), "h"))
		want(1, 1)
	})
}

// A worker is not offered what needs more memory than its host has, also when the limit has grown after an attempt that ran
// out of it.
func TestMemoryOfTheHost(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t) // with a limit of 1 GiB
		with := func(memory int64) []job.Claim {
			t.Helper()
			b.match(t)
			reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.MemoryBytes = memory }))
			must(t, err)
			return reply.Claims
		}
		if got := with(512 << 20); len(got) != 0 {
			t.Fatalf("a host with less gets %+v", got)
		}
		b.servers[0].queue.UseWorkers(b.servers[0].LiveWorkers)
		waits, err := b.servers[0].queue.ExplainQueued(t.Context(), run)
		must(t, err)
		if want := "The only worker cannot take it; it needs 1 GiB of memory, and the largest of them has 512 MiB."; len(waits.Gates) != 1 || waits.Gates[0].Gate != job.GateNoWorker || waits.Gates[0].Text != want {
			t.Errorf("%+v", waits.Gates)
		}
		got := with(1 << 30)
		if len(got) != 1 {
			t.Fatalf("a host with as much gets %+v", got)
		}
		p := newProcess(t, got[0], "host of w2")
		b.ask(t, b.servers[0], p)
		p.begin(t, b.clock())
		p.end(t, b.clock(), job.Classify(job.Ending{Kind: job.CommandStep, Signal: "SIGKILL", SignalNo: 9, OOM: &job.OOM{}}))
		b.send(t, b.servers[0], p)
		b.pass(time.Hour)
		if got := with(2<<30 - 1); len(got) != 0 {
			t.Errorf("a host with less than the next attempt needs gets %+v", got)
		}
		if got := with(0); len(got) != 1 || got[0].Attempt != 2 || got[0].Spec.MemoryBytes != 2<<30 {
			t.Errorf("a host whose memory is not known gets %+v", got)
		}
	})
}

// The history of a run says which workers did not start it, and why.
func TestHistoryOfClaims(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		got, events, err := b.servers[0].ReleaseClaim(t.Context(), "w1", c.Claim, "it cannot run here")
		if must(t, err); got.ID != run || len(events) != 1 || events[0].Kind != job.EventClaimEnded || events[0].Attempt != 1 || events[0].From != "queued" || events[0].To != "queued" {
			t.Errorf("%s, %+v", got.ID, events)
		}
		got, events, err = b.servers[0].ReleaseClaim(t.Context(), "w1", c.Claim, "again")
		if must(t, err); got.ID != "" || len(events) != 0 {
			t.Errorf("a claim that had ended: %s, %+v", got.ID, events)
		}
		b.claimOne(t, "w2")
		b.pass(time.Minute)
		events, err = b.servers[0].EndOverdueClaims(t.Context())
		if must(t, err); len(events) != 1 {
			t.Errorf("%+v", events)
		}
		b.claimOne(t, "w3")
		must(t, b.servers[0].DrainWorker(t.Context(), "w3", job.Drain{By: "ada", Reason: "new disk", At: b.clock()}))
		texts, err := b.servers[0].ReadTexts(t.Context(), `SELECT evidence FROM events WHERE run_id = $1 AND kind = 'claim_ended' ORDER BY id`, run)
		must(t, err)
		want := []string{
			"Given back by w1: it cannot run here.", "Withdrawn from w2: it did not name the claim any more.", "Withdrawn from w3: it is drained by ada: new disk.",
		}
		if !slices.Equal(texts, want) {
			t.Errorf("%q", texts)
		}
	})
}

// A cancel ends the claim with the run: it takes no slot, counts for nothing, and is in nobody's way.
func TestCancelEndsTheClaim(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		_, _, err := b.servers[0].outbox.RequestCancel(t.Context(), run, job.Cancel{By: "ada", At: b.clock()})
		must(t, err)
		workers, err := b.servers[0].ListWorkers(t.Context())
		if must(t, err); workers[0].Claimed != 0 {
			t.Errorf("worker w1 has %d claims", workers[0].Claimed)
		}
		_, _, err = b.servers[0].ReleaseClaim(t.Context(), "w1", c.Claim, "it cannot run here")
		must(t, err)
		b.pass(time.Minute)
		_, err = b.servers[0].EndOverdueClaims(t.Context())
		must(t, err)
		if counted, err := b.servers[0].ReadTexts(t.Context(), `SELECT reason FROM ended_claims`); err != nil || len(counted) != 0 {
			t.Errorf("counted: %q, %v", counted, err)
		}
		_, _, err = b.servers[0].outbox.RequestRetry(t.Context(), run, 0, "ada", "", b.clock())
		must(t, err)
		if again := b.claimOne(t, "w1"); again.Run != run || again.Claim == c.Claim {
			t.Errorf("%+v", again)
		}
	})
}
