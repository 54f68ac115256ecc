package claims

import (
	"testing"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// What a start costs is how often its transactions wait for the database, which is a round trip on PostgreSQL and a
// statement on SQLite. More of them would be fewer starts a second.
func TestTripsOfStarts(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		const many = 8
		s := b.servers[0]
		for range 2*many + 1 {
			b.submit(t)
		}
		b.match(t)
		trips := func(do func()) int64 {
			before := b.opened[0].Trips.Load()
			do()
			return b.opened[0].Trips.Load() - before
		}
		claim := func(free int) (claims []job.Claim) {
			reply, err := s.Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.Slots, r.Free = 100, free }))
			must(t, err)
			if len(reply.Claims) != free {
				t.Fatalf("%d claims, want %d", len(reply.Claims), free)
			}
			return reply.Claims
		}
		claim(many) // the worker is known from here on
		one := trips(func() { claim(1) })
		var claims []job.Claim
		several := trips(func() { claims = claim(many) })

		var asks, ends []index.Append
		for _, c := range claims {
			p := newProcess(t, c, "host of w1")
			p.begin(t, noon)
			p.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))
			asks = append(asks, index.Append{
				Run: c.Run, Attempt: c.Attempt, Data: p.first, At: b.clock(), Permit: &index.PermitRequest{Claim: c.Token, Incarnation: p.incarnation},
			})
			ends = append(ends, index.Append{Run: c.Run, Attempt: c.Attempt, Offset: int64(len(p.first)), Data: p.journal.Bytes()[len(p.first):], At: b.clock()})
		}
		ingest := func(appends []index.Append) func() {
			return func() {
				got, _, err := s.intake.Ingest(t.Context(), appends, nil)
				must(t, err)
				for _, one := range got {
					if one.Err != nil || one.Permit != nil && one.Permit.Answer != job.PermitGranted {
						t.Fatalf("the append was answered %+v", one)
					}
				}
			}
		}
		permits, ended := trips(ingest(asks)), trips(ingest(ends))
		most := map[string][4]int64{"SQLite": {12, 19, 77, 71}, "PostgreSQL": {12, 12, 5, 15}}[b.engine]
		if got := [4]int64{one, several, permits, ended}; got[0] > most[0] || got[1] > most[1] || got[2] > most[2] || got[3] > most[3] {
			t.Errorf("a claim of 1 run, of %d runs, %d permits, %d ends take %d trips, at most %d", many, many, many, got, most)
		}
	})
}
