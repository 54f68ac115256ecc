package claims

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/job"
)

// A run that a worker is not offered names it, until when, and how its claims ended; the list of workers does too.
func TestWhatIsWithheldIsExplained(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		s := b.servers[0]
		s.queue.UseWorkers(s.LiveWorkers)
		run := b.submit(t)
		gates := func() []job.Gate {
			t.Helper()
			q, err := s.queue.ExplainQueued(t.Context(), run)
			must(t, err)
			return q.Gates
		}
		must(t, b.release("w7", b.claimOne(t, "w7").Claim, "no room"))
		b.claimOne(t, "w7")
		b.pass(16 * time.Second)
		_, err := s.EndOverdueClaims(t.Context())
		must(t, err)
		b.asks(t, "w7")
		if got := gates(); len(got) != 0 {
			t.Errorf("after two claims: %+v", got)
		}
		must(t, b.release("w7", b.claimOne(t, "w7").Claim, "the directory is missing"))
		b.asks(t, "w7")
		until := b.clock().Add(10 * time.Minute)
		const want = "Worker w7 is not offered report until 2026-11-29 12:10:16 UTC, because 3 claims of it ended without a start (2 given back, 1 lost), the last one because the directory is missing."
		got := gates()
		if len(got) != 1 || got[0].Gate != job.GateWithheld || got[0].Text != want || !got[0].OpensAt.Equal(until) || len(got[0].SentenceTimes) != 1 || !got[0].SentenceTimes[0].At.Equal(until) {
			t.Errorf("%+v\nwant %s", got, want)
		}
		workers, err := s.ListWorkers(t.Context())
		must(t, err)
		if w := workers[0].Withheld; len(w) != 1 || w[0].Text != want || !w[0].OpensAt.Equal(until) {
			t.Errorf("%+v", w)
		}
		b.match(t)
		reply, err := s.Claim(t.Context(), "w7", b.poll("w7", nil))
		if must(t, err); len(reply.Claims) != 0 {
			t.Errorf("it is given to w7: %+v", reply)
		}
		b.asks(t, "w8")
		if got := gates(); len(got) != 0 { // w8 may take it
			t.Errorf("with another worker: %+v", got)
		}
		_, err = s.Claim(t.Context(), "w8", b.poll("w8", func(r *job.ClaimRequest) { r.Slots, r.Free = 0, 0 }))
		must(t, err)
		if got := gates(); len(got) != 1 || got[0].Gate != job.GateNoSlot || !strings.Contains(got[0].Text, "1 of 2 workers could take it, and all of their 0 slots are in use. "+want) {
			t.Errorf("with another worker that is full: %+v", got)
		}
		b.pass(10 * time.Minute)
		b.asks(t, "w7")
		if got := gates(); len(got) != 0 {
			t.Errorf("after the time: %+v", got)
		}
	})
}

func TestEndedClaimsAreFoundByAnIndex(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			plantest.Fill(t, d, 4_000, noon)
			plantest.Exec(t, d,
				`INSERT INTO ended_claims (id, run_id, attempt, worker, work, at, reason) SELECT id, id, 1, 'w' || (number % 20), 'job', number, '' FROM runs`,
				`INSERT INTO workers (name, id, host, doc, first_at, asked_at, lease_until) SELECT DISTINCT worker, worker, 'h', '{}', 1, 1, 1 FROM ended_claims`,
			)
			plantest.Analyze(t, d)
			table, names := d.Dialect.Table(3, db.Column{Texts: []string{"w1", "w2"}})
			for query, args := range map[string][]any{endsOf(table, "v.c0"): append([]any{3_900, 5_000}, names...), endsOfAll: {3_900, 5_000}} {
				plan := plantest.IndexPlan(t, d, query, args...)
				if !strings.Contains(plan, "ended_claims_worker") || strings.Contains(plan, "Seq Scan on ended_claims") || strings.Contains(plan, "SCAN e") {
					t.Errorf("%s:\n%s", query, plan)
				}
			}
		})
	}
}
