package store_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/retention"
	"stint.dev/stint/journal"
)

// What --keep-dry-run names is exactly what retention deletes: no more, no less, and no run that has not ended.
func TestWhatIsDeletedIsWhatWasPlanned(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	onBothKeeping(t, store.Keep{}, func(t *testing.T, s *store.Store, now *time.Time) {
		random := rand.New(rand.NewPCG(seed, 1))
		*now = noon.Add(time.Hour)
		for round := range 6 {
			active := map[string]bool{}
			for range 40 {
				name, at := fmt.Sprint("job", random.IntN(5)), noon.Add(-time.Duration(random.IntN(100))*time.Hour)
				if random.IntN(10) > 0 {
					endedRun(t, s, name, at, 100+random.IntN(3000))
					continue
				}
				j := newJournal(t, journal.Attempt{Job: name})
				j.at = at
				j.command()
				_, data := j.take()
				one(t, s, j.id, 1, 0, data)
				active[j.id] = true
			}
			for i := range 5 {
				name := fmt.Sprint("job", i)
				if random.IntN(2) == 0 {
					continue
				}
				yaml := fmt.Sprintf("keep: {days: %d, runs: %d}", random.IntN(4), random.IntN(12))
				*now = now.Add(time.Second)
				must(t, s.SetPolicy(t.Context(), policy.Stored{Job: name, YAML: yaml, SetAt: *now}, []byte(`{}`)))
			}
			limits := store.Keep{Age: time.Duration(random.IntN(100)) * time.Hour, Runs: random.IntN(15), AtOnce: true}
			if round%2 == 1 {
				limits.Bytes = int64(1 + random.IntN(60_000))
			}
			before := idsOf(t, s)
			got, err := s.Preview(t.Context(), *now, retention.Server(limits.Age, limits.Runs), limits.Bytes, true)
			must(t, err)
			if diff := cmp.Diff(before, idsOf(t, s)); diff != "" {
				t.Fatal("a plan changes what is there", diff)
			}
			s.SetKeep(limits)
			_ = s.ApplyRetention(t.Context(), *now) // it fails if active runs alone take too much
			after := idsOf(t, s)
			gone := []string{}
			for _, id := range before {
				if !slices.Contains(after, id) {
					gone = append(gone, id)
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(got.Plan.Deleted)), gone); diff != "" && len(gone)+len(got.Plan.Deleted) > 0 {
				t.Fatalf("round %d with %+v: planned (-), deleted (+): %s", round, limits, diff)
			}
			for _, id := range gone {
				if active[id] {
					t.Errorf("run %s has not ended and is deleted", id)
				}
			}
			sum := 0
			for _, tally := range got.Tallies {
				sum += tally.Runs
			}
			if sum != len(gone) {
				t.Errorf("the tallies have %d runs, and %d were deleted", sum, len(gone))
			}
		}
	})
}

func idsOf(t *testing.T, s *store.Store) []string {
	t.Helper()
	ids, err := s.ReadTexts(t.Context(), `SELECT id FROM runs ORDER BY id`)
	must(t, err)
	slices.Sort(ids)
	return ids
}
