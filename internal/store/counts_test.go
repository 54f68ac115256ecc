package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func countRuns(t *testing.T, s *store.Store) {
	for i, host := range []string{"a", "a", "b", "b", "b"} {
		a := journal.Attempt{Host: host, Job: "j", Labels: map[string]string{"n": string(rune('0' + i))}}
		if i < 3 {
			id, data := whole(t, a, i%2, "x\n")
			one(t, s, id, 1, 0, data)
			continue
		}
		id, data := begun(t, a)
		one(t, s, id, 1, 0, data)
	}
	yes := func(state map[job.State]int64, health map[job.Health]int64, total int64) query.RunCounts {
		return query.RunCounts{State: state, Health: health, Total: total, Exact: true}
	}
	type states = map[job.State]int64
	type healths = map[job.Health]int64
	all := states{job.Running: 2, job.Succeeded: 2, job.Failed: 1}
	tests := map[string]struct {
		query query.Runs
		want  query.RunCounts
	}{
		"all":              {query.Runs{}, yes(all, healths{job.Healthy: 2}, 5)},
		"a state":          {query.Runs{States: []job.State{job.Failed}}, yes(all, healths{}, 1)},
		"states":           {query.Runs{States: []job.State{job.Failed, job.Running}}, yes(all, healths{job.Healthy: 2}, 3)},
		"health":           {query.Runs{Health: []job.Health{job.Healthy}}, yes(states{job.Running: 2}, healths{job.Healthy: 2}, 2)},
		"other health":     {query.Runs{Health: []job.Health{job.Critical}}, yes(states{}, healths{job.Healthy: 2}, 0)},
		"host":             {query.Runs{Host: "a"}, yes(states{job.Succeeded: 1, job.Failed: 1}, healths{}, 2)},
		"host and state":   {query.Runs{Host: "b", States: []job.State{job.Running}}, yes(states{job.Succeeded: 1, job.Running: 2}, healths{job.Healthy: 2}, 2)},
		"no such job":      {query.Runs{Job: "k"}, yes(states{}, healths{}, 0)},
		"label":            {query.Runs{Labels: map[string]string{"n": "3"}}, yes(states{job.Running: 1}, healths{job.Healthy: 1}, 1)},
		"since":            {query.Runs{Since: noon.Add(time.Hour)}, yes(states{}, healths{}, 0)},
		"since, inclusive": {query.Runs{Since: noon}, yes(all, healths{job.Healthy: 2}, 5)},
		"until, exclusive": {query.Runs{Until: noon}, yes(states{}, healths{}, 0)},
		"between":          {query.Runs{Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour), Text: "J"}, yes(all, healths{job.Healthy: 2}, 5)},
	}
	for name, tt := range tests {
		got, err := s.RunCounts(t.Context(), tt.query)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got): %s", name, diff)
		}
		tt.query.Limit = 100
		page, err := s.Runs(t.Context(), tt.query)
		if err != nil || int64(len(page.Runs)) != tt.want.Total {
			t.Errorf("%s: %d runs listed, %d counted; %v", name, len(page.Runs), tt.want.Total, err)
		}
	}
}

// begun is the journal of a run whose command is running.
func begun(t *testing.T, a journal.Attempt) (id string, data []byte) {
	t.Helper()
	j := newJournal(t, a)
	j.command()
	_, data = j.take()
	return j.id, data
}

func liveAgents(t *testing.T, s *store.Store) {
	id, data := begun(t, journal.Attempt{Host: "box"})
	one(t, s, id, 1, 0, data)
	over, data := whole(t, journal.Attempt{Host: "box"}, 0, "x\n")
	one(t, s, over, 1, 0, data)
	got, err := s.LiveAgents(t.Context())
	if diff := cmp.Diff([]lease.LiveAgent{{Run: id, Host: "box"}}, got); err != nil || diff != "" {
		t.Error(err, "(-want +got):", diff)
	}
	at := noon.Add(time.Minute)
	beat := job.Heartbeat{Sequence: 1, CPUSeconds: 3, MemoryBytes: 4, UnsentBytes: 5}
	if _, _, err := s.Ingest(t.Context(), nil, []lease.Beat{{Run: id, Attempt: 1, Heartbeat: beat, At: at, Lease: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	got, err = s.LiveAgents(t.Context())
	if err != nil || len(got) != 1 || !got[0].BeatAt.Equal(at) || got[0].Beat.UnsentBytes != 5 || got[0].Beat.CPUSeconds != 3 {
		t.Errorf("after a heartbeat: %+v, %v", got, err)
	}
}
