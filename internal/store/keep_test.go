package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/journal"
)

// onBoth runs a test on both databases with an archive.
func onBoth(t *testing.T, keep store.Keep, test func(t *testing.T, s *store.Store, objects string)) {
	keep.AtOnce = true
	t.Run("SQLite", func(t *testing.T) {
		a, path := openArchive(t)
		test(t, openWith(t, store.Options{Dir: t.TempDir(), Archive: a, Keep: keep, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}), path)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		a, path := openArchive(t)
		test(t, openWith(t, store.Options{URL: postgrestest.URL(t), Archive: a, Keep: keep, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}), path)
	})
}

// endedRun ingests a run that ended at a time.
func endedRun(t *testing.T, s *store.Store, name string, at time.Time, size int) string {
	t.Helper()
	j := newJournal(t, journal.Attempt{Job: name, Labels: map[string]string{"team": "ml"}})
	j.at = at
	j.command()
	j.output(noise(len(name), size))
	j.end(0)
	offset, data := j.take()
	got, _, err := s.Ingest(t.Context(), []index.Append{{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: at}}, nil)
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got[0].Err)
	}
	return j.id
}

func gone(t *testing.T, s *store.Store, id string) bool {
	t.Helper()
	_, err := s.Run(t.Context(), id)
	var missing *query.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		t.Fatal(err)
	}
	if err == nil {
		return false
	}
	if heads, err := s.Blocks(t.Context(), id, 1, 0, 1); err != nil || len(heads) != 0 {
		t.Errorf("blocks of a deleted run: %v %v", heads, err)
	}
	var deleted *query.DeletedRunError
	if size, err := s.JournalSize(t.Context(), id, 1); err != nil && !errors.As(err, &deleted) || size != 0 {
		t.Errorf("journal of a deleted run: %d %v", size, err)
	}
	return true
}

func TestKeepByAge(t *testing.T) {
	onBoth(t, store.Keep{Age: 24 * time.Hour}, func(t *testing.T, s *store.Store, objects string) {
		old := endedRun(t, s, "a", noon.Add(-30*time.Hour), 200<<10)
		young := endedRun(t, s, "b", noon.Add(-20*time.Hour), 200<<10)
		active := newJournal(t, journal.Attempt{})
		active.command()
		_, data := active.take()
		one(t, s, active.id, 1, 0, data)
		if err := s.Tidy(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		if !gone(t, s, old) || gone(t, s, young) || gone(t, s, active.id) {
			t.Error("not just the old run was deleted")
		}
		if err := s.Tidy(t.Context(), noon.Add(5*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if !gone(t, s, young) || gone(t, s, active.id) {
			t.Error("not all ended runs were deleted")
		}
		if left := filesIn(t, objects); len(left) != 0 {
			t.Errorf("objects: %q", left)
		}
		if bytes, err := s.StoredBytes(t.Context()); err != nil || bytes <= 0 || bytes > 10<<10 {
			t.Errorf("%d bytes are left, %v", bytes, err)
		}
	})
}

func TestKeepByCountAndSize(t *testing.T) {
	onBoth(t, store.Keep{Runs: 3, Bytes: 1 << 20}, func(t *testing.T, s *store.Store, _ string) {
		ids := map[string][]string{}
		for i := range 5 {
			for _, name := range []string{"a", "b"} {
				ids[name] = append(ids[name], endedRun(t, s, name, noon.Add(time.Duration(i)*time.Minute), 1000))
			}
		}
		if err := s.Tidy(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		for name, all := range ids {
			for i, id := range all {
				if gone(t, s, id) != (i < 2) {
					t.Errorf("run %d of job %s: gone %v", i, name, gone(t, s, id))
				}
			}
		}
		large := endedRun(t, s, "c", noon.Add(time.Hour), 700<<10)
		larger := endedRun(t, s, "c", noon.Add(2*time.Hour), 900<<10)
		if err := s.Tidy(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		if !gone(t, s, ids["a"][3]) || !gone(t, s, large) || gone(t, s, larger) {
			t.Error("not the oldest runs were deleted")
		}
		if gone(t, s, ids["a"][4]) || gone(t, s, ids["b"][4]) {
			t.Error("the last run of a job was deleted before the older ones of others")
		}
	})
}

// Each pass that deletes something reports it once: how many runs of how many jobs, their bytes, and by which rule.
func TestDeletionsAreReported(t *testing.T) {
	var reported []string
	s := openWith(t, store.Options{
		Dir: t.TempDir(), Keep: store.Keep{Age: 24 * time.Hour, Runs: 2, AtOnce: true},
		Deleted: func(d *keep.Deleted) {
			reported = append(reported, fmt.Sprintf("%d runs of %d jobs, %d bytes: %s", d.Runs, d.Jobs(), d.Bytes, d.Counts()))
		},
	})
	deleted := []string{endedRun(t, s, "old", noon.Add(-30*time.Hour), 1000)}
	for i := range 5 {
		if id := endedRun(t, s, "many", noon.Add(time.Duration(i-10)*time.Minute), 1000); i < 3 {
			deleted = append(deleted, id)
		}
	}
	var bytes int64
	for _, id := range deleted {
		size, err := s.JournalSize(t.Context(), id, 1)
		if err != nil {
			t.Fatal(err)
		}
		bytes += size - journal.HeaderSize // which is in no block
	}
	for range 2 { // the second pass finds nothing
		if err := s.Tidy(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{fmt.Sprintf("4 runs of 2 jobs, %d bytes: --keep-days 1, --keep-runs 3", bytes)}
	if diff := cmp.Diff(want, reported); diff != "" {
		t.Error(diff)
	}
}

// The middle of a long log goes while the job prints, and again at its end; beginning and
// end stay, the gap says how much went, and what is left reads in order.
func TestLongLogKeepsHeadAndTail(t *testing.T) {
	const limit = 1 << 20
	onBoth(t, store.Keep{RunLog: limit}, func(t *testing.T, s *store.Store, _ string) {
		j := newJournal(t, journal.Attempt{})
		j.command()
		var sent []byte
		var lines int64
		next := func(n int) {
			for range n {
				lines++
				j.output(fmt.Sprintf("%07d %s\n", lines, noise(int(lines), 90)[:90]))
			}
			if n > 0 && lines%5000 == 0 {
				j.sample(lines)
			}
			offset, data := j.take()
			one(t, s, j.id, 1, offset, data)
			sent = append(sent, data...)
		}
		for i := range 40 {
			next(1000)
			if i%7 == 6 {
				if err := s.Tidy(t.Context(), noon.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		}
		j.end(0)
		next(0)
		for range 2 {
			if err := s.Tidy(t.Context(), noon.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		checkTrimmed(t, s, j.id, sent, lines, limit)
	})
}

func checkTrimmed(t *testing.T, s *store.Store, id string, sent []byte, lines, limit int64) {
	t.Helper()
	run := mustRun(t, s, id)
	if len(run.Output.Gaps) != 1 || run.Output.Complete || run.Output.Lines != lines {
		t.Fatalf("output: %+v", run.Output)
	}
	gap := run.Output.Gaps[0]
	var kept, keptOutput, last int64
	for from := int64(0); ; {
		heads, err := s.Blocks(t.Context(), id, 1, from, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(heads) == 0 {
			break
		}
		for _, h := range heads {
			data, err := s.BlockData(t.Context(), id, 1, h.Start)
			if err != nil || int64(len(data)) != h.Size || string(data) != string(sent[h.Start:h.Start+h.Size]) {
				t.Fatalf("block %+v: %d bytes, %v", h, len(data), err)
			}
			if h.FirstLine < last {
				t.Fatalf("block %+v after line %d", h, last)
			}
			kept, keptOutput, last, from = kept+h.Size, keptOutput+h.OutputBytes, h.FirstLine+h.Lines, h.Start+h.Size
		}
	}
	if kept > limit+300<<10 || kept < limit/2 { // whole blocks go
		t.Errorf("kept %d bytes of a limit of %d", kept, limit)
	}
	if gap.Bytes != run.Output.Bytes-keptOutput || gap.Lines != gap.Bytes/99 || gap.AtBytes%99 != 0 || gap.AtBytes == 0 {
		t.Errorf("gap %+v, and %d of %d bytes are kept", gap, keptOutput, run.Output.Bytes)
	}
	if heads, err := s.BlocksFromLine(t.Context(), id, 1, gap.AtBytes/99+2, 1); err != nil || len(heads) != 1 || heads[0].FirstLine <= gap.AtBytes/99+2 {
		t.Errorf("from a line that was dropped: %+v, %v", heads, err)
	}
	if samples, err := allSamples(t, s, id); err != nil || int64(len(samples)) != lines/5000 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
	if bytes, err := s.StoredBytes(t.Context()); err != nil || bytes <= 0 || bytes > kept {
		t.Errorf("counted %d bytes, %v", bytes, err)
	}
}
