package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// textRun is a run as a search in texts must see it.
type textRun struct {
	id    string
	at    time.Time
	words string
	state job.State
}

// texts looks for words before runs are in the index of texts, when some are, when all
// are, and when some were deleted, and compares with the words themselves.
func texts(t *testing.T, s *store.Store) {
	var all []textRun
	add := func(n int) {
		for range n {
			i := len(all)
			words := []string{"plain ice", `quo"te'd 100% a_b \ back`, "Größe ΑΒΓ straße", "tiny", "icecream"}[i%5]
			// Runs of one microsecond, and some apart.
			at := noon.Add(time.Duration(i/20) * time.Microsecond)
			id, data := whole(t, journal.Attempt{Job: fmt.Sprintf("j%d", i%3), Host: words, Labels: map[string]string{"a": "x", "b": fmt.Sprint("run-", i)}}, i%2, "x\n")
			if got := try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: at}); got.Err != nil {
				t.Fatal(got.Err)
			}
			state := job.Succeeded
			if i%2 == 1 {
				state = job.Failed
			}
			all = append(all, textRun{id: id, at: at, words: strings.ToLower(words + " run-" + fmt.Sprint(i)), state: state})
		}
	}
	add(60)
	checkTexts(t, s, all, "none in the index")
	tidyTexts(t, s)
	checkTexts(t, s, all, "all in the index")
	add(45)
	checkTexts(t, s, all, "some in the index")
	tidyTexts(t, s)
	checkTexts(t, s, all, "all, in two steps")
	// A second attempt on another host changes the text of a run.
	begun, ended := newJournal(t, journal.Attempt{Run: all[7].id, Attempt: 2, Job: "j1", Host: "elsewhere"}), all[7]
	begun.command()
	_, data := begun.take()
	if got, _, err := s.Ingest(t.Context(), []index.Append{{Run: ended.id, Attempt: 2, Data: data, At: noon.Add(time.Minute)}}, nil); err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	all[7].words, all[7].state = "elsewhere", job.Running
	checkTexts(t, s, all, "one changed")
	stale := 1
	if s.Postgres() {
		stale = 0 // it deletes them at once
	}
	checkIndexed(t, s, len(all)-1+stale, stale)
	tidyTexts(t, s)
	checkTexts(t, s, all, "one changed, and in the index")
	checkIndexed(t, s, len(all), 0)
	changeHost(t, s, all[9].id, "j0")
	if _, err := s.EraseRun(t.Context(), all[9].id, "mia"); err != nil {
		t.Fatal(err)
	}
	checkIndexed(t, s, len(all)-1+stale, stale)
	if _, err := s.Erase(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkIndexed(t, s, len(all)-1, 0)
}

// changeHost changes the text of a run that has failed: another attempt on another host fails, too.
func changeHost(t *testing.T, s *store.Store, run, name string) {
	t.Helper()
	_, data := whole(t, journal.Attempt{Run: run, Attempt: 2, Job: name, Host: "elsewhere"}, 1, "x\n")
	if got, _, err := s.Ingest(t.Context(), []index.Append{{Run: run, Attempt: 2, Data: data, At: noon.Add(time.Minute)}}, nil); err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
}

// checkIndexed checks how many texts are in the index, and how many of these are of runs that have another text now.
func checkIndexed(t *testing.T, s *store.Store, texts, stale int) {
	t.Helper()
	want := map[string]int{"run_texts": texts, "stale_texts": stale}
	if s.Postgres() {
		delete(want, "stale_texts")
	}
	for table, most := range want {
		if n, err := s.CountRows(t.Context(), table); err != nil || n != most {
			t.Errorf("%s has %d rows, want %d; %v", table, n, most, err)
		}
	}
}

// Nothing is cut off a text that is looked for, nor off what it is looked for in: a run would
// not be found, without a word.
func longTexts(t *testing.T, s *store.Store) {
	wide := strings.Repeat("Ä€😀x", 64)         // 256 characters, 640 bytes
	special := strings.Repeat(`%_\"`, 64)      // each needs an escape in a pattern
	lines := "first\n\tsecond\x01\u0085third " // as they are typed
	host := strings.Repeat("h", 1500) + ".end" // longer than a pattern may be
	labels := map[string]string{}
	for i := range job.MaxLabels {
		labels[fmt.Sprintf("k%02d", i)] = fmt.Sprintf("value-%02d-", i) + strings.Repeat("v", 200)
	}
	labels["z"] = "needle-at-the-end"
	delete(labels, "k00")
	want := map[string]string{} // text to the run that has it
	for _, c := range []struct {
		attempt journal.Attempt
		texts   []string
	}{
		{journal.Attempt{Args: []string{"echo", wide}}, []string{wide}},
		{journal.Attempt{Args: []string{"echo", special}}, []string{special}},
		{journal.Attempt{Args: []string{"echo", lines}}, []string{lines}},
		{journal.Attempt{Host: host}, []string{host, host[1000:]}},
		{journal.Attempt{Args: []string{"echo", strings.Repeat("c", 8000)}, Labels: labels}, []string{labels["z"], labels["k63"]}},
	} {
		id, data := whole(t, c.attempt, 0)
		one(t, s, id, 1, 0, data)
		for _, text := range c.texts {
			want[text] = id
		}
		if c.attempt.Host != "" {
			if page, err := s.Runs(t.Context(), query.Runs{Host: host}); err != nil || len(page.Runs) != 1 || page.Runs[0].ID != id {
				t.Errorf("a long host: %d runs, %v", len(page.Runs), err)
			}
		}
	}
	for _, when := range []string{"before", "after"} {
		for text, id := range want {
			for _, q := range []query.Runs{{Text: text}, {Text: strings.ToUpper(text), States: []job.State{job.Succeeded}}} {
				page, err := s.Runs(t.Context(), q)
				if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != id {
					t.Errorf("%s tidying: %d bytes %.20q: %d runs, %v", when, len(text), text, len(page.Runs), err)
				}
				if counts, err := s.RunCounts(t.Context(), q); err != nil || counts.Total != 1 {
					t.Errorf("%s tidying: %d bytes %.20q: %d counted, %v", when, len(text), text, counts.Total, err)
				}
			}
		}
		tidyTexts(t, s)
	}
}

func tidyTexts(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Tidy(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
}

// checkTexts compares pages and counts with the words.
func checkTexts(t *testing.T, s *store.Store, all []textRun, when string) {
	t.Helper()
	for _, text := range []string{"ice", "icecream", "ICE", `"te'`, "100%", "0% A_b", "a_b", "axb", `\ b`, "größe", "αβγ", "run-1", "run-59", "nowhere", "elsewhere", "ti", "e"} {
		for _, q := range []query.Runs{{}, {States: []job.State{job.Failed}}, {Until: noon.Add(2 * time.Microsecond)}, {Since: noon.Add(time.Microsecond), States: []job.State{job.Failed, job.Succeeded}}} {
			q.Text = text
			var want []string
			for _, r := range all {
				if strings.Contains(r.words, strings.ToLower(text)) && (len(q.States) == 0 || slices.Contains(q.States, r.state)) &&
					(q.Until.IsZero() || r.at.Before(q.Until)) && !r.at.Before(q.Since) {
					want = append(want, r.id)
				}
			}
			got, n := allPages(t, s, q)
			slices.Sort(want)
			slices.Sort(got)
			if text == "e" || text == "ti" { // also in the command and in ids
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" || n != int64(len(want)) {
				t.Fatalf("%s: %+v: %d counted, %d there are (-want +got):\n%s", when, q, n, len(want), diff)
			}
		}
	}
}

// allPages reads small pages until the last, which must stand in order.
func allPages(t *testing.T, s *store.Store, q query.Runs) (ids []string, counted int64) {
	t.Helper()
	counts, err := s.RunCounts(t.Context(), q)
	if err != nil || !counts.Exact {
		t.Fatal(counts, err)
	}
	q.Limit = 7
	var last job.Run
	for {
		page, err := s.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			if last.ID != "" && (r.StartAt.After(last.StartAt) || r.StartAt.Equal(last.StartAt) && r.ID >= last.ID) {
				t.Fatalf("%+v: %s at %s after %s at %s", q, r.ID, r.StartAt, last.ID, last.StartAt)
			}
			last = r
			ids = append(ids, r.ID)
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			return ids, counts.Total
		}
	}
}

// The counts of runs are kept as runs come, change and go.
func TestRunCountsAreKept(t *testing.T) {
	onBoth(t, store.Keep{Age: time.Hour}, func(t *testing.T, s *store.Store, _ string) {
		for i := range 5 {
			endedRun(t, s, "a", noon.Add(time.Duration(i)*time.Minute), 10)
		}
		id, data := begun(t, journal.Attempt{Job: "a"})
		one(t, s, id, 1, 0, data)
		check := func(succeeded, running int64) {
			t.Helper()
			got, err := s.RunCounts(t.Context(), query.Runs{Job: "a"})
			if err != nil || got.State[job.Succeeded] != succeeded || got.State[job.Running] != running || got.Total != succeeded+running {
				t.Errorf("counts %+v, %v; want %d and %d", got, err, succeeded, running)
			}
			sum, err := s.Job(t.Context(), "a")
			if err != nil || sum.Runs != succeeded+running || sum.Succeeded != succeeded || sum.Active != running {
				t.Errorf("summary %+v, %v", sum, err)
			}
			if page, err := s.Runs(t.Context(), query.Runs{Text: "train", Limit: 50}); err != nil || int64(len(page.Runs)) != succeeded+running {
				t.Errorf("%d runs with a text, %v", len(page.Runs), err)
			}
		}
		check(5, 1)
		if err := s.Tidy(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		check(5, 1)
		if err := s.Tidy(t.Context(), noon.Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		check(0, 1)
	})
}

// A run that waits is found at once, and its text is indexed when it has waited for a while: most start before, and their
// text changes then.
func TestTextsOfQueuedRuns(t *testing.T) {
	onBothKeeping(t, store.Keep{}, func(t *testing.T, s *store.Store, now *time.Time) {
		id := submitCommand(t, s, "report", nil)
		for _, c := range []struct {
			waited time.Duration
			want   int
		}{{0, 0}, {9 * time.Second, 0}, {10 * time.Second, 1}} {
			*now = noon.Add(c.waited)
			checkQueuedText(t, s, id, c.want, c.waited)
		}
	})
}

// checkQueuedText tidies, and checks how many texts are indexed, and that the run is found by its text.
func checkQueuedText(t *testing.T, s *store.Store, id string, want int, waited time.Duration) {
	t.Helper()
	tidyTexts(t, s)
	n, err := s.CountRows(t.Context(), "run_texts")
	if err != nil || n != want {
		t.Errorf("after %s %d texts are indexed, want %d; %v", waited, n, want, err)
	}
	page, err := s.Runs(t.Context(), query.Runs{Limit: 10, Text: "report"})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != id {
		t.Errorf("after %s the run is not found by its text: %+v, %v", waited, page.Runs, err)
	}
}
