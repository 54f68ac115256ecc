package store_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestTroubledItemsInSQLite(t *testing.T)     { troubledConformance(t, openSQLite) }
func TestTroubledItemsInPostgreSQL(t *testing.T) { troubledConformance(t, openPostgres) }

func troubledConformance(t *testing.T, open func(*testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *store.Store, *time.Time)
	}{
		{"a verdict that cannot be stored", badVerdict},
		{"evidence that cannot be stored", badEvidence},
		{"rows that cannot be read", unreadableRows},
		{"a run that cannot be diagnosed", undiagnosable},
		{"items that nobody tries any more", staleItems},
		{"a policy that cannot be read", badPolicy},
		{"a verdict on a run that has ended since", overtakenVerdict},
		{"items that failed while the clock was ahead", clockAhead},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			now := noon
			s.SetClock(func() time.Time { return now })
			c.test(t, s, &now)
		})
	}
}

// items are the troubled items as "kind id tries".
func items(t *testing.T, s *store.Store) []job.TroubledItem {
	t.Helper()
	all, err := s.Troubled(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func verdictOn(l lease.Lease, at time.Time, facts map[string]any) lease.Verdict {
	return lease.Verdict{
		Run: l.Run, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: at, Health: job.Warning, Evidence: "It stalls.",
		Findings: []job.Finding{{Rule: "stalled", Health: job.Warning, Since: at, Evidence: "It stalls.", Facts: facts}},
	}
}

func badVerdict(t *testing.T, s *store.Store, now *time.Time) {
	const n = 9
	var verdicts []lease.Verdict
	var bad lease.Lease
	for i := range n {
		l := leaseOf(t, s, running(t, s, journal.Attempt{}).id)
		facts := map[string]any{"idle_seconds": 1.0}
		if i == 4 {
			bad, facts = l, map[string]any{"idle_seconds": math.Inf(1)}
		}
		verdicts = append(verdicts, verdictOn(l, noon, facts))
	}
	judged, err := s.Judge(t.Context(), verdicts)
	if err != nil || len(judged) != n-1 {
		t.Fatalf("%d of %d verdicts were stored, %v", len(judged), n, err)
	}
	if slices.ContainsFunc(judged, func(j lease.VerdictResult) bool { return j.Run.ID == bad.Run }) {
		t.Error("the verdict that cannot be stored was")
	}
	got := items(t, s)
	if len(got) != 1 || got[0].Kind != "judge" || got[0].ID != bad.Run || got[0].Tries != 1 || !got[0].NextAt.Equal(noon.Add(10*time.Second)) ||
		!strings.Contains(got[0].Error, "unsupported value") {
		t.Fatalf("troubled items: %+v", got)
	}
	// It rests, and is tried again after growing pauses.
	again := func() { // with another verdict beside it, as always
		t.Helper()
		if _, err := s.Judge(t.Context(), verdicts[3:5]); err != nil {
			t.Fatal(err)
		}
	}
	*now = noon.Add(9 * time.Second)
	again()
	if got := items(t, s); got[0].Tries != 1 {
		t.Errorf("tried while it rests: %+v", got)
	}
	*now = noon.Add(10 * time.Second)
	again()
	if got := items(t, s); got[0].Tries != 2 || !got[0].NextAt.Equal(now.Add(20*time.Second)) || !got[0].SinceAt.Equal(noon) {
		t.Errorf("after the second try: %+v", got)
	}
	*now = noon.Add(time.Minute)
	verdicts[4] = verdictOn(bad, noon, nil)
	again()
	if got := items(t, s); len(got) != 0 {
		t.Errorf("it was stored, and is in trouble still: %+v", got)
	}
	if run := mustRun(t, s, bad.Run); run.Health != job.Warning {
		t.Errorf("health %s", run.Health)
	}
	if f, err := s.Figures(t.Context(), noon); err != nil || f.ItemFailures["judge"] != 2 || f.Troubled["judge"] != 0 {
		t.Errorf("%+v, %v; want 2 failures and no item in trouble", f, err)
	}
}

func badEvidence(t *testing.T, s *store.Store, _ *time.Time) {
	good, bad := running(t, s, journal.Attempt{}).id, running(t, s, journal.Attempt{}).id
	err := s.StoreEvidence(t.Context(), []lease.StoredEvidence{
		{Run: bad, Attempt: 1, Evidence: lease.Evidence{MovedCPU: math.NaN()}},
		{Run: good, Attempt: 1, Evidence: lease.Evidence{MovedCPU: 7}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if l := leaseOf(t, s, good); l.Evidence.MovedCPU != 7 {
		t.Errorf("the evidence beside it: %+v", l.Evidence)
	}
	if got := items(t, s); len(got) != 1 || got[0].ID != bad {
		t.Errorf("troubled items: %+v", got)
	}
}

func unreadableRows(t *testing.T, s *store.Store, now *time.Time) {
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = running(t, s, journal.Attempt{}).id
	}
	due := func() int {
		t.Helper()
		leases, err := s.Due(t.Context(), noon.Add(1000*time.Hour), 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(leases)
	}
	if n := due(); n != 4 {
		t.Fatalf("%d runs are due", n)
	}
	for _, change := range []string{`UPDATE runs SET evidence = '{' WHERE id = $1`, `UPDATE runs SET beat = '[', beat_at = 1 WHERE id = $1`} {
		if err := s.Exec(t.Context(), change, ids[1]); err != nil {
			t.Fatal(err)
		}
		if n := due(); n != 3 {
			t.Errorf("%d of 3 runs are due beside one that cannot be read", n)
		}
	}
	if _, err := s.LiveAgents(t.Context()); err != nil {
		t.Errorf("live agents: %v", err)
	}
	if err := s.Exec(t.Context(), `UPDATE runs SET doc = 'no JSON' WHERE id = $1`, ids[3]); err != nil {
		t.Fatal(err)
	}
	// The newest is unreadable: each page is one run short, and the cursor goes on behind it.
	var seen []string
	for q := (query.Runs{Limit: 1}); ; {
		page, err := s.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range page.Runs {
			seen = append(seen, run.ID)
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			break
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d of 3 readable runs are listed", len(seen))
	}
	if _, err := s.Jobs(t.Context(), query.Jobs{}); err != nil {
		t.Errorf("jobs: %v", err)
	}
	var bad interface{ Unwrap() error }
	if _, err := s.Run(t.Context(), ids[3]); !errors.As(err, &bad) || !strings.Contains(err.Error(), "stint server check") {
		t.Errorf("the run itself: %v", err)
	}
	got := items(t, s)
	if len(got) != 2 || got[0].Kind+got[1].Kind != "read_leaseread_run" && got[0].Kind+got[1].Kind != "read_runread_lease" {
		t.Fatalf("troubled items: %+v", got)
	}
	if err := s.Exec(t.Context(), `UPDATE runs SET evidence = NULL, beat = NULL WHERE id = $1`, ids[1]); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(time.Minute)
	if n := due(); n != 4 {
		t.Errorf("%d runs are due after one was repaired", n)
	}
	if got := items(t, s); len(got) != 1 || got[0].ID != ids[3] {
		t.Errorf("after it was repaired: %+v", got)
	}
}

func undiagnosable(t *testing.T, s *store.Store, now *time.Time) {
	first, data := whole(t, journal.Attempt{}, 1, "x")
	one(t, s, first, 1, 0, data)
	second, data := whole(t, journal.Attempt{}, 1, "x")
	one(t, s, second, 1, 0, data)
	waiting := func() []string {
		t.Helper()
		runs, err := s.Undiagnosed(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		return ids
	}
	if got := waiting(); len(got) != 2 {
		t.Fatalf("waiting: %v", got)
	}
	s.DiagnosisFailed(t.Context(), second, errors.New("the bucket does not answer"))
	if got := waiting(); !slices.Equal(got, []string{first}) {
		t.Errorf("waiting after one failed: %v, want %s", got, first)
	}
	*now = noon.Add(11 * time.Second)
	if got := waiting(); len(got) != 2 {
		t.Errorf("waiting after the pause: %v", got)
	}
	if err := s.Exec(t.Context(), `UPDATE runs SET doc = '{' WHERE id = $1`, second); err != nil {
		t.Fatal(err)
	}
	if got := waiting(); !slices.Equal(got, []string{first}) {
		t.Errorf("waiting beside one that cannot be read: %v", got)
	}
	if got := items(t, s); len(got) != 1 || got[0].Tries != 2 {
		t.Errorf("troubled items: %+v", got)
	}
}

func clockAhead(t *testing.T, s *store.Store, now *time.Time) {
	id, data := whole(t, journal.Attempt{}, 1, "x")
	one(t, s, id, 1, 0, data)
	for _, ahead := range []time.Duration{365 * 24 * time.Hour, 30 * time.Minute} {
		*now = noon.Add(ahead)
		s.DiagnosisFailed(t.Context(), id, errors.New("x"))
		if waiting, err := s.Undiagnosed(t.Context(), 10); err != nil || len(waiting) != 0 {
			t.Errorf("it does not rest: %v, %v", waiting, err)
		}
		*now = noon
		if waiting, err := s.Undiagnosed(t.Context(), 10); err != nil || len(waiting) != 1 {
			t.Errorf("it rests for %s: %v, %v", ahead, waiting, err)
		}
	}
	s.DiagnosisFailed(t.Context(), id, errors.New("x"))
	if got := items(t, s); len(got) != 1 || got[0].Tries != 3 || !got[0].NextAt.Equal(noon.Add(40*time.Second)) {
		t.Errorf("failed again: %+v", got)
	}
}

func overtakenVerdict(t *testing.T, s *store.Store, _ *time.Time) {
	l := leaseOf(t, s, running(t, s, journal.Attempt{}).id)
	if _, err := s.Judge(t.Context(), []lease.Verdict{verdictOn(l, noon, map[string]any{"idle_seconds": math.Inf(1)})}); err != nil {
		t.Fatal(err)
	}
	if err := s.RefreshTroubles(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTroubled(t, s, "judge "+l.Run)
	if err := s.Exec(t.Context(), `UPDATE runs SET state = 'failed', leased = 0 WHERE id = $1`, l.Run); err != nil {
		t.Fatal(err)
	}
	if err := s.RefreshTroubles(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTroubled(t, s)
}

func badPolicy(t *testing.T, s *store.Store, _ *time.Time) {
	s.PolicyFailed(t.Context(), "train", errors.New("line 1"))
	s.PolicyRead(t.Context(), "other")
	wantTroubled(t, s, "policy train")
	if f, err := s.Figures(t.Context(), noon); err != nil || f.Troubled["policy"] != 1 {
		t.Errorf("figures: %+v, %v", f.Troubled, err)
	}
	s.PolicyRead(t.Context(), "train")
	wantTroubled(t, s)
}

func staleItems(t *testing.T, s *store.Store, now *time.Time) {
	s.DiagnosisFailed(t.Context(), "gone", errors.New("x"))
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{time.Minute, 1}, {15 * time.Minute, 1}, {time.Hour, 0}} {
		*now = noon.Add(tt.after)
		if err := s.RefreshTroubles(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := items(t, s); len(got) != tt.want {
			t.Errorf("after %s: %+v", tt.after, got)
		}
	}
}
