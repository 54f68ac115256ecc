package runs

import (
	"context"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// steadyStore has runs whose memory is the same all the time.
type steadyStore struct {
	Store
	began time.Time
	bytes map[string]int64
}

func (s steadyStore) Samples(_ context.Context, run string, _ int, _ query.Samples) (query.SampleSeries, error) {
	var out []job.Sample
	for i := range 10 {
		out = append(out, job.Sample{At: s.began.Add(time.Duration(i) * time.Second), CPUCores: 1, MemoryBytes: s.bytes[run]})
	}
	return query.SampleSeries{Samples: out}, nil
}

// The memory of runs that was measured in another way, with the cache of files, is no part
// of what is usual; their CPU is.
func TestABandHasMemoryInUseOnly(t *testing.T) {
	s := steadyStore{began: time.Unix(1000, 0), bytes: map[string]int64{"old": 900, "new": 100}}
	known := newProfiles()
	of := func(id string, peak int64) profile {
		t.Helper()
		p, err := known.of(t.Context(), s, job.Run{ID: id, Attempt: 1, StartedAt: &s.began, Usage: job.Usage{PeakMemoryBytes: peak}})
		if err != nil || len(p) != 10 {
			t.Fatalf("profile of %s: %v, %v", id, p, err)
		}
		return p
	}
	old, recent := of("old", 0), of("new", 100)
	for name, c := range map[string]struct {
		profiles []profile
		want     api.Spread
	}{
		"old and new": {[]profile{old, recent}, api.Spread{P10: 100, P50: 100, P90: 100}},
		"old":         {[]profile{old}, api.Spread{}},
	} {
		b := bandOf(c.profiles, 5)
		if b.Runs != len(c.profiles) || len(b.Points) != 5 {
			t.Errorf("%s: %+v", name, b)
		}
		for _, p := range b.Points {
			if p.MemoryBytes != c.want || p.CPUCores.P50 != 1 {
				t.Errorf("%s: %+v, want memory %+v", name, p, c.want)
			}
		}
	}
}
