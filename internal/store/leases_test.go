package store_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// killed is a store on a copy of what another's directory holds at this moment: what a
// server finds that starts after a kill.
func killed(t *testing.T, dir string) (*store.Store, string) {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return openDir(t, copied), copied
}

// openDir opens a store that the test closes. Its clock stands still: the ids of events follow from
// the time at which a store is opened.
func openDir(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestHeartbeatsSurviveAKill(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, store.Options{Dir: dir})
	j := running(t, s, journal.Attempt{})
	for n := range 3 { // the first goes to the database, the others to the log
		at := noon.Add(time.Duration(n+1) * time.Second)
		if got := beatOnce(t, s, j.id, 1, at); !got.Known || !got.Owner {
			t.Fatalf("beat %d: %+v", n, got)
		}
		if run := mustRun(t, s, j.id); !run.LastHeartbeatAt.Equal(at) {
			t.Errorf("the run reported at %s, want %s", run.LastHeartbeatAt, at)
		}
		after, _ := killed(t, dir)
		l := leaseOf(t, after, j.id)
		closeStore(t, after)
		if !l.ReportedAt.Equal(at) || !l.ExpiresAt.Equal(at.Add(time.Minute)) {
			t.Errorf("after a kill: reported at %s, until %s; the last beat was at %s", l.ReportedAt, l.ExpiresAt, at)
		}
	}
}

// modelled is one of the two stores of the model: it runs steps and returns what the store replied.
type modelled struct {
	t    *testing.T
	dir  string
	s    *store.Store
	mind bool // it may remember; else a transaction that may have changed anything goes before each step
}

// step is what happens to one run, or to all.
type step struct {
	kind   string
	run    string
	all    []*testJournal
	at     time.Time
	offset int64
	data   []byte // of its journal
}

// do takes a step and returns what the store answered.
func (m *modelled) do(st step) any {
	m.t.Helper()
	if !m.mind {
		if err := m.s.WriteAll(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
	switch st.kind {
	case "beat":
		return beatOnce(m.t, m.s, st.run, 1, st.at)
	case "beats":
		return beatEach(m.t, m.s, st.all, st.at)
	case "suspend":
		return suspend(m.t, m.s, st.run, st.at)
	case "cancel":
		stopped, err := m.s.FollowCancel(m.t.Context(), st.run, 1, job.Cancel{By: "ada", Why: "no", At: st.at}, false)
		return []any{stopped, fmt.Sprint(err)}
	case "lost":
		return m.lose(st)
	case "gone":
		return m.s.NoteClosed(m.t.Context(), []lease.ClosedRun{{Run: st.run, Attempt: 1, Closure: lease.Closure{At: st.at, Confirm: time.Second}}})
	case "print", "end":
		if st.data != nil {
			return try(m.t, m.s, index.Append{Run: st.run, Attempt: 1, Offset: st.offset, Data: st.data, At: st.at})
		}
	case "kill":
		before := m.s
		m.s, m.dir = killed(m.t, m.dir)
		closeStore(m.t, before)
	case "look":
		due, err := m.s.Due(m.t.Context(), st.at.Add(time.Hour), 10)
		if err != nil {
			m.t.Fatal(err)
		}
		return due
	}
	return nil
}

func (m *modelled) lose(st step) []lease.VerdictResult {
	m.t.Helper()
	l, err := m.s.Lease(m.t.Context(), st.run)
	if err != nil {
		m.t.Fatal(err)
	}
	if !l.ExpiresAt.Before(st.at) {
		return nil
	}
	judged, err := m.s.Judge(m.t.Context(), []lease.Verdict{{Run: st.run, Attempt: 1, ReportedAt: l.ReportedAt, At: st.at, Lost: true, Evidence: "silent"}})
	if err != nil {
		m.t.Fatal(err)
	}
	return judged
}

// shows is all runs, as a list and one by one.
func (m *modelled) shows(all []*testJournal) []job.Run {
	m.t.Helper()
	page, err := m.s.Runs(m.t.Context(), query.Runs{Limit: 10})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, j := range all {
		page.Runs = append(page.Runs, mustRun(m.t, m.s, j.id))
	}
	return page.Runs
}

// A store that takes heartbeats from owners it knows, and one that has to look every time,
// answer alike and show the same, whatever happens in between.
func TestKnownLeasesModel(t *testing.T) {
	t.Parallel() // it waits for disks
	empty := t.TempDir()
	closeStore(t, openDir(t, empty)) // once: making the tables is most of the work
	rapid.Check(t, func(rt *rapid.T) {
		knows, looks := &modelled{t: t, mind: true}, &modelled{t: t}
		for _, m := range []*modelled{knows, looks} {
			m.s, m.dir = killed(t, empty)
			defer func() { closeStore(t, m.s) }()
		}
		journals := make([]*testJournal, 3)
		for i := range journals {
			j := newJournal(t, journal.Attempt{Job: fmt.Sprint("job-", i)})
			j.command()
			_, data := j.take()
			one(t, knows.s, j.id, 1, 0, data)
			one(t, looks.s, j.id, 1, 0, data)
			journals[i] = j
		}
		ended := map[int]bool{}
		at := noon
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(journals)-1).Draw(rt, "run")
			// At least one: an agent sends a heartbeat after the reply to the one before, and after a
			// kill the time alone says whether the row has the heartbeat that the log holds.
			at = at.Add(time.Duration(rapid.IntRange(1, 40_000_000).Draw(rt, "microseconds")) * time.Microsecond)
			st := step{run: journals[i].id, all: journals, at: at}
			st.kind = rapid.SampledFrom([]string{"beat", "beat", "beats", "beats", "print", "suspend", "cancel", "lost", "gone", "end", "kill", "look"}).Draw(rt, "step")
			switch {
			case ended[i]:
			case st.kind == "print":
				journals[i].output("line\n")
				st.offset, st.data = journals[i].take()
			case st.kind == "end":
				ended[i] = true
				journals[i].end(0)
				st.offset, st.data = journals[i].take()
			}
			if diff := cmp.Diff(looks.do(st), knows.do(st)); diff != "" {
				rt.Fatalf("%s of run %d is answered (-by looking +from what is known):\n%s", st.kind, i, diff)
			}
			if diff := cmp.Diff(looks.shows(journals), knows.shows(journals)); diff != "" {
				rt.Fatalf("after %s of run %d there is (-by looking +from what is known):\n%s", st.kind, i, diff)
			}
		}
	})
}

// beatEach sends one heartbeat of each run in one group.
func beatEach(t *testing.T, s *store.Store, journals []*testJournal, at time.Time) []lease.BeatResult {
	t.Helper()
	var beats []lease.Beat
	for _, j := range journals {
		beats = append(beats, lease.Beat{Run: j.id, Attempt: 1, At: at, Lease: time.Minute, Heartbeat: job.Heartbeat{PeriodMS: 10_000, MemoryBytes: at.UnixNano()}})
	}
	return takeBeats(t, s, beats)
}
