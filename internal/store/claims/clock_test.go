package claims

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/store/definitions"
	"stint.dev/stint/job"
)

const day = 24 * time.Hour

// A claim that was given while the clock was a day ahead ends when it is as old as a claim may be, and another worker gets
// the run.
func TestClaimOfAClockThatWasAhead(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		b.pass(day)
		b.claimOne(t, "w1")
		b.pass(-day)
		_, err := b.servers[0].EndOverdueClaims(t.Context())
		must(t, err)
		if waiting, claims := b.waits(t, run); waiting != 0 || claims != 1 {
			t.Fatalf("at once: %d waits, %d claims", waiting, claims)
		}
		b.pass(16 * time.Second)
		_, err = b.servers[0].EndOverdueClaims(t.Context())
		must(t, err)
		if c := b.claimOne(t, "w2"); c.Run != run || c.Attempt != 1 {
			t.Errorf("the claim is %+v", c)
		}
	})
}

// A further attempt that was queued while the clock was a day ahead starts after its pause, and not a day later.
func TestFurtherAttemptOfAClockThatWasAhead(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.definePause(t)
		run := b.submit(t)
		p := newProcess(t, b.claimOne(t, "w1"), "host of w1")
		if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitGranted {
			t.Fatalf("%+v", got)
		}
		b.pass(day)
		p.begin(t, noon)
		p.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 3}))
		must(t, b.send(t, b.servers[0], p).Err)
		if row := b.run(t, run); row.Run.State != job.Retrying {
			t.Fatalf("the run is %s", row.Run.State)
		}
		b.pass(-day)
		must(t, b.servers[0].queue.FollowClock(t.Context()))
		b.match(t)
		if waiting, _ := b.waits(t, run); waiting != 1 {
			t.Fatal("the run does not wait")
		}
		reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
		if must(t, err); len(reply.Claims) != 0 {
			t.Fatalf("it did not pause: %+v", reply)
		}
		b.pass(time.Minute)
		if c := b.claimOne(t, "w1"); c.Run != run || c.Attempt != 2 {
			t.Errorf("the claim is %+v", c)
		}
	})
}

// definePause changes the job: a minute lies between two attempts.
func (b *bench) definePause(t *testing.T) {
	t.Helper()
	text := strings.Replace(definitionText, "limit: 3,", "limit: 3, backoff: 1m,", 1)
	d, mistakes := definition.Parse([]byte(text), nil)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	canonical, err := d.Canonical()
	must(t, err)
	_, err = definitions.New(b.servers[0].DB).ApplyDefinitions(t.Context(), definition.Set{
		New: []definition.New{{Job: "report", Version: definition.Hash(canonical), YAML: text, Canonical: canonical}}, By: "ada", At: noon,
	})
	must(t, err)
}

// A worker that asked while the clock was a day ahead is not alive for a day: another one gets its name, and no run is
// kept for it.
func TestWorkerOfAClockThatWasAhead(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.pass(day)
		_, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
		must(t, err)
		_, err = b.servers[0].Claim(t.Context(), "w2", b.poll("w2", nil))
		must(t, err)
		b.pass(-day)
		if live := b.live(t); len(live) != 0 {
			t.Errorf("live are %v", live)
		}
		_, err = b.servers[0].Claim(t.Context(), "w2", b.poll("w2", nil)) // the same one again
		must(t, err)
		_, err = b.servers[0].Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.WorkerID = "another id" }))
		must(t, err)
		if live := b.live(t); len(live) != 2 {
			t.Errorf("live are %v", live)
		}
	})
}

func (b *bench) live(t *testing.T) (names []string) {
	t.Helper()
	all, err := b.servers[0].readLive(t.Context(), b.servers[0].Reader, b.clock())
	must(t, err)
	for name := range all {
		names = append(names, name)
	}
	return names
}

// Claims that were lost while the clock was a day ahead keep no definition from a worker for a day.
func TestEndedClaimsOfAClockThatWasAhead(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.submit(t)
		b.pass(day)
		for range 3 {
			c := b.claimOne(t, "w1")
			_, _, err := b.servers[0].ReleaseClaim(t.Context(), "w1", c.Claim, "no")
			must(t, err)
		}
		b.pass(-day)
		b.claimOne(t, "w1")
	})
}
