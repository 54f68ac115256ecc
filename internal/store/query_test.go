package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/ref"
	"stint.dev/stint/journal"
)

func hostileWords(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{
		Host: "h\x00\xff'; DROP TABLE runs", Args: []string{"a\x00b", "%_\\", strings.Repeat("é", 100_000)}, Dir: "\x1b[31m", AgentVersion: "\x00",
	}, 0, "\x00\xff")
	got := one(t, s, id, 1, 0, data)
	if diff := cmp.Diff(got.Run, mustRun(t, s, id)); diff != "" {
		t.Error("run (-returned +stored):", diff)
	}
	for _, q := range []query.Runs{
		{Text: `%_\`},
		{Text: "drop table"},
		{Text: id[:20]},
	} {
		if page, err := s.Runs(t.Context(), q); err != nil || len(page.Runs) != 1 {
			t.Errorf("query %+v: %d runs, %v", q, len(page.Runs), err)
		}
	}
	for _, q := range []query.Runs{
		{Text: "z\x00\xff"},
		{Text: strings.Repeat("%", 100_000)},
		{Job: "\x00"},
		{Job: "\xff"},
		{States: []job.State{"\x00"}},
		{Labels: map[string]string{"\x00": "\xff"}},
		{Text: "100%"},
	} {
		if page, err := s.Runs(t.Context(), q); err != nil || len(page.Runs) != 0 {
			t.Errorf("query %.40q: %d runs, %v", fmt.Sprint(q), len(page.Runs), err)
		}
	}
	var missing *query.NotFoundError
	if _, err := s.Job(t.Context(), "\x00"); !errors.As(err, &missing) {
		t.Errorf("job: %v", err)
	}
	if _, err := s.Run(t.Context(), "\x00"); !errors.As(err, &missing) {
		t.Errorf("run: %v", err)
	}
	var invalid *job.InvalidError
	for _, c := range []string{"x", "\x00", "LTEsMQ", strings.Repeat("A", 9000)} {
		if _, err := s.Runs(t.Context(), query.Runs{Cursor: c}); !errors.As(err, &invalid) {
			t.Errorf("cursor %.20q: %v", c, err)
		}
	}
}

func pagesOfRuns(t *testing.T, s *store.Store) {
	const n = 23
	var want []string
	for i := range n {
		a := journal.Attempt{Job: fmt.Sprint("job", i%3), Labels: map[string]string{"third": fmt.Sprint(i % 3), "all": ""}}
		id, data := whole(t, a, i%2)
		got := try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: noon.Add(time.Duration(i/2) * time.Second)})
		if got.Err != nil {
			t.Fatal(got.Err)
		}
		want = append(want, id)
	}
	live := running(t, s, journal.Attempt{Job: "live"})
	slices.Reverse(want)
	var got []string
	q := query.Runs{Limit: 4, States: []job.State{job.Succeeded, job.Failed}}
	for {
		page, err := s.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			got = append(got, r.ID)
		}
		if page.NextCursor == "" {
			break
		}
		if len(page.Runs) != 4 {
			t.Fatalf("page of %d", len(page.Runs))
		}
		q.Cursor = page.NextCursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("all pages (-want +got):", diff)
	}
	for _, tt := range []struct {
		query query.Runs
		want  int
	}{
		{query.Runs{Job: "job1"}, 8},
		{query.Runs{Job: "job"}, 0},
		{query.Runs{States: []job.State{job.Failed}}, 11},
		{query.Runs{Job: "job1", States: []job.State{job.Failed}}, 4},
		{query.Runs{Labels: map[string]string{"third": "2", "all": ""}}, 7},
		{query.Runs{Labels: map[string]string{"third": "2", "all": "x"}}, 0},
		{query.Runs{Health: []job.Health{job.Healthy}}, 1},
		{query.Runs{Health: []job.Health{job.Critical}}, 0},
		{query.Runs{Text: "LIVE"}, 1},
		{query.Runs{Text: live.id}, 1},
	} {
		tt.query.Limit = 500
		if page, err := s.Runs(t.Context(), tt.query); err != nil || len(page.Runs) != tt.want {
			t.Errorf("%+v: %d runs, want %d (%v)", tt.query, len(page.Runs), tt.want, err)
		}
	}
}

// findRun holds in which order the readings of a name are tried. "Last" goes by the start, not by the arrival.
func findRun(t *testing.T, s *store.Store) {
	ids := map[string]string{}
	begin := func(name, jobName, id string, start int, end func(*testJournal)) {
		j := newJournal(t, journal.Attempt{Run: id, Job: jobName})
		j.command()
		end(j)
		_, data := j.take()
		started := noon.Add(time.Duration(start) * time.Minute)
		if got := try(t, s, index.Append{Run: j.id, Attempt: 1, Data: data, At: noon, ClockOffset: started.Sub(epoch.Add(time.Second))}); got.Err != nil {
			t.Fatal(got.Err)
		}
		ids[name] = j.id
	}
	code := func(n int) func(*testJournal) { return func(j *testJournal) { j.end(n) } }
	goesOn := func(*testJournal) {}
	a, b := "0199aaaa-0000-7000-8000-00000000000a", "0199aaaa-0000-7000-8000-00000000000b"
	begin("train 2nd, newer", "train", a, -10, code(0))
	begin("train 1st, older, arrived later", "train", b, -60, code(3))
	begin("cafe", "cafe", "0199bbbb-0000-7000-8000-000000000001", -9, code(0))
	begin("id like cafe", "other", "cafe0000-0000-7000-8000-000000000002", -8, code(0))
	begin("train@failed", "train@failed", "0199bbbb-0000-7000-8000-000000000003", -7, code(0))
	begin("eval failed", "eval", "0199bbbb-0000-7000-8000-000000000004", -6, code(1))
	begin("eval", "eval", "0199bbbb-0000-7000-8000-000000000005", -5, goesOn)
	begin("a.b", "a.b", "0199bbbb-0000-7000-8000-000000000006", -4, code(0))
	begin("a@b", "a@b", "0199bbbb-0000-7000-8000-000000000007", -3, code(1))
	begin("named like an id", a, "0199bbbb-0000-7000-8000-000000000008", -2, code(0))
	begin("named like no id", strings.Replace(a, "0199", "0198", 1), "0199bbbb-0000-7000-8000-000000000009", -1, code(0))
	for text, want := range map[string]string{
		a: "train 2nd, newer", strings.ToUpper(a): "train 2nd, newer", strings.Replace(a, "0199", "0198", 1): "named like no id",
		"train#1": "train 2nd, newer", "train#2": "train 1st, older, arrived later", "train#1.1": "train 2nd, newer",
		"train#-1": "train 2nd, newer", "train#-2": "train 1st, older, arrived later", "train": "train 2nd, newer",
		"train@failed": "train@failed", "train@failed@succeeded": "train@failed", "train@succeeded": "train 2nd, newer",
		"cafe": "cafe", "cafe#-1": "cafe", "cafe0": "id like cafe", "CAFE0": "id like cafe",
		"eval": "eval", "eval@failed": "eval failed", "eval@running": "eval", "a.b": "a.b", "a.b#1": "a.b", "a@b": "a@b", "a@b@failed": "a@b", "a@b#-1": "a@b",
	} {
		if id, err := s.FindRun(t.Context(), reference(t, text)); err != nil || id != ids[want] {
			t.Errorf("%s: %s, %v; want %s, %s", text, id, err, want, ids[want])
		}
	}
	var ambiguous *query.AmbiguousError
	if _, err := s.FindRun(t.Context(), reference(t, "0199a")); !errors.As(err, &ambiguous) || len(ambiguous.Matches) != 2 || ambiguous.More || ambiguous.Matches[1].Number != 2 ||
		ambiguous.Matches[1].State != job.Failed || !ambiguous.Matches[1].StartAt.Equal(mustRun(t, s, b).StartAt) {
		t.Errorf("two ids: %+v, %v", ambiguous, err)
	}
	if _, err := s.FindRun(t.Context(), reference(t, "0199")); !errors.As(err, &ambiguous) || len(ambiguous.Matches) != 5 || !ambiguous.More {
		t.Errorf("many ids: %+v, %v", ambiguous, err)
	}
	for text, why := range map[string]string{
		"0198": "no id of a run begins so", "train#3": "train#3 was not found", "train#-3": "fewer than 3 runs", "train#-9223372036854775808": "fewer than 9223372036854775808 runs",
		"nobody": "no job with runs has this name", "nobody#-1": "no job with runs has this name", "nobody#1": "not found", "nobody@failed": "no job with runs has this name",
		"cafe@failed": "no run of the job is failed or timed_out or lost", "a.b@queued": "no run of the job is queued", "train@faild": "no job with runs has this name",
		"0197aaaa-0000-7000-8000-00000000000a": "was not found",
	} {
		var missing *query.NotFoundError
		if _, err := s.FindRun(t.Context(), reference(t, text)); !errors.As(err, &missing) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
	if _, err := s.FindRun(t.Context(), ref.Ref{Numbered: "x\x00", Number: 1}); err == nil {
		t.Error("a name that no job can have was found")
	}
}

// reference reads how a run is named.
func reference(t *testing.T, text string) ref.Ref {
	t.Helper()
	r, err := ref.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func events(t *testing.T, s *store.Store) {
	if last, err := s.LastEventID(t.Context()); err != nil || last != 0 {
		t.Errorf("last event of an empty store: %d, %v", last, err)
	}
	idA, dataA := whole(t, journal.Attempt{}, 0)
	idB, dataB := whole(t, journal.Attempt{}, 1)
	a, b := one(t, s, idA, 1, 0, dataA), one(t, s, idB, 1, 0, dataB)
	want := slices.Concat(a.Events, b.Events)
	got, err := s.Events(t.Context(), "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("events (-returned +stored):", diff)
	}
	got, err = s.Events(t.Context(), idB, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.Events[:2], got); diff != "" {
		t.Error("events of one run (-want +got):", diff)
	}
	last, err := s.LastEventID(t.Context())
	if err != nil || last != want[len(want)-1].ID {
		t.Errorf("last event %d, %v", last, err)
	}
	if got, err := s.Events(t.Context(), "", last, 10); err != nil || len(got) != 0 {
		t.Errorf("after the last: %+v, %v", got, err)
	}
	if e := want[0]; e.From != "queued" || e.To != "starting" || e.Clock != "agent" || !e.At.Equal(epoch.Add(time.Second)) {
		t.Errorf("first event: %+v", e)
	}
}

func jobs(t *testing.T, s *store.Store) {
	for i := range 25 {
		lines := slices.Repeat([]string{"x\n"}, i) // a second each
		id, data := whole(t, journal.Attempt{Job: "etl"}, 0, lines...)
		got := try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: noon.Add(time.Duration(i) * time.Second)})
		if got.Err != nil {
			t.Fatal(got.Err)
		}
	}
	id := deliver(t, s, journal.Attempt{Job: "etl"}, 1, noon.Add(time.Minute), noon.Add(time.Minute)).ID
	live := running(t, s, journal.Attempt{Job: "live"})
	page, err := s.Jobs(t.Context(), query.Jobs{})
	all := page.Jobs
	if err != nil || len(all) != 2 || page.Cursor != "" || all[0].Name != "etl" || all[1].Name != "live" {
		t.Fatalf("jobs: %+v, %v", all, err)
	}
	etl, err := s.Job(t.Context(), "etl")
	if err != nil {
		t.Fatal(err)
	}
	if short := all[0].LastRun; len(short.Args) != 0 || len(short.Labels) != 0 || len(short.Steps) != 0 || len(etl.LastRun.Args) == 0 {
		t.Errorf("the last run in a list: %+v", short)
	}
	short := etl
	short.LastRun = all[0].LastRun
	if diff := cmp.Diff(all[0], short); diff != "" {
		t.Error("job (-list +one):", diff)
	}
	if etl.Runs != 26 || etl.Succeeded != 25 || etl.Active != 0 || etl.LastRun == nil || etl.LastRun.ID != id || etl.LastSuccessAt == nil {
		t.Errorf("etl: %+v", etl)
	}
	// From the identity to the outcome: 4 seconds and one a line, for 5 to 24 lines.
	want := &job.Usual{Runs: 20, DurationP50Seconds: 18, DurationP95Seconds: 27, PeakMemoryP50Bytes: 1 << 20, PeakMemoryP95Bytes: 1 << 20}
	if diff := cmp.Diff(want, etl.Usual); diff != "" {
		t.Error("usual (-want +got):", diff)
	}
	if l := all[1]; l.Active != 1 || l.Usual != nil || l.LastRun.ID != live.id || l.LastSuccessAt != nil {
		t.Errorf("live: %+v", l)
	}
	var missing *query.NotFoundError
	if _, err := s.Job(t.Context(), "none"); !errors.As(err, &missing) {
		t.Errorf("no job: %v", err)
	}
}

func tokens(t *testing.T, s *store.Store) {
	hash := sha256.Sum256([]byte("secret"))
	expires := noon.Add(time.Hour)
	want := access.Token{ID: "t1", Name: "ci", Scope: "agent", Prefix: "stint_ab", Hash: hash[:], CreatedAt: noon, ExpiresAt: &expires}
	if err := s.CreateToken(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateToken(t.Context(), access.Token{ID: "t2", Hash: hash[:]}); err == nil {
		t.Error("the same secret twice")
	}
	used := noon.Add(time.Minute)
	if err := s.TouchTokens(t.Context(), map[string]time.Time{"t1": used, "gone": used}); err != nil {
		t.Fatal(err)
	}
	if err := s.TouchTokens(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want.LastUsedAt = &used
	got, err := s.TokenByHash(t.Context(), hash[:])
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error("token (-want +got):", diff, err)
	}
	all, err := s.Tokens(t.Context())
	if diff := cmp.Diff([]access.Token{want}, all); diff != "" || err != nil {
		t.Error("tokens (-want +got):", diff, err)
	}
	if err := s.RevokeToken(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	var missing *query.NotFoundError
	if _, err := s.TokenByHash(t.Context(), hash[:]); !errors.As(err, &missing) {
		t.Errorf("revoked token: %v", err)
	}
	if err := s.RevokeToken(t.Context(), "t1"); !errors.As(err, &missing) {
		t.Errorf("revoke again: %v", err)
	}
	if n, err := s.RevokedTokens(t.Context()); err != nil || n != 1 {
		t.Errorf("%d tokens were revoked, %v; want 1", n, err)
	}
}

func ping(t *testing.T, s *store.Store) {
	for range 2 {
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if page, err := s.Jobs(t.Context(), query.Jobs{}); err != nil || len(page.Jobs) != 0 {
		t.Errorf("ping left something behind: %+v, %v", page, err)
	}
}
