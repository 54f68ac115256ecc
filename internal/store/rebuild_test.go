package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// objectsIn lists an archive as the command does.
func objectsIn(a *archive.Dir) recovery.Objects {
	return func(ctx context.Context, fn func(string, int64) error) error {
		for o, err := range a.List(ctx, "") {
			if err != nil {
				return err
			}
			if err := fn(o.Key, o.Size); err != nil {
				return err
			}
		}
		return nil
	}
}

// eventTimes compares events without what they have from the server alone: their ids, and
// its clock.
var eventTimes = cmp.Transformer("events", func(e job.RunEvent) map[string]any {
	all := map[string]any{"run": e.Run, "attempt": e.Attempt, "clock": e.Clock, "from": e.From, "to": e.To, "rule": e.Rule, "evidence": e.Evidence}
	if e.Clock == index.AgentClock {
		all["at"] = e.At
	}
	return all
})

// stored is all that a store answers of one attempt.
type stored struct {
	Run     job.Run
	Journal []byte
	Samples []job.Sample
	Events  []job.RunEvent
	Lines   []int64
}

func readAll(t *testing.T, s *store.Store, keys map[string]int) map[string][]stored {
	t.Helper()
	all := map[string][]stored{}
	for id, attempts := range keys {
		for attempt := 1; attempt <= attempts; attempt++ {
			var one stored
			var err error
			if one.Run, err = s.RunAttempt(t.Context(), id, attempt); err != nil {
				t.Fatal(err)
			}
			series, err := s.Samples(t.Context(), id, attempt, query.Samples{})
			if err != nil {
				t.Fatal(err)
			}
			one.Samples = series.Samples
			if one.Events, err = s.Events(t.Context(), id, 0, 1000); err != nil {
				t.Fatal(err)
			}
			one.Journal, _ = readBack(t, s, id, attempt)
			for line := int64(1); line <= one.Run.Output.Lines; line += 1 + one.Run.Output.Lines/50 {
				heads, err := s.BlocksFromLine(t.Context(), id, attempt, line, 1)
				if err != nil || len(heads) == 0 || heads[0].FirstLine > line || heads[0].FirstLine+heads[0].Lines <= line {
					t.Fatalf("line %d of run %s: %+v, %v", line, id, heads, err)
				}
				one.Lines = append(one.Lines, line)
			}
			all[id] = append(all[id], one)
		}
	}
	return all
}

// randomRun stores an attempt with output of random sizes, and tidies on the way.
func randomRun(t *testing.T, s *store.Store, random *rand.Rand, a journal.Attempt, at time.Time, code int, end bool) string {
	t.Helper()
	j := newJournal(t, a)
	j.at = at
	j.command()
	add := func() {
		offset, data := j.take()
		got, _, err := s.Ingest(t.Context(), []index.Append{{Run: j.id, Attempt: max(a.Attempt, 1), Offset: offset, Data: data, At: j.at, ClockOffset: -time.Minute}}, nil)
		if err != nil || got[0].Err != nil {
			t.Fatal(err, got[0].Err)
		}
	}
	add()
	for n := random.IntN(60); n > 0; n-- {
		size := random.IntN(300)
		if random.IntN(8) == 0 {
			size = random.IntN(100_000)
		}
		j.output(noise(n, size))
		if random.IntN(5) == 0 {
			j.sample(int64(n))
		}
		if random.IntN(20) == 0 {
			j.json(journal.TypeGap, job.Gap{Stream: job.Stderr, Bytes: 7, Lines: 1, Reason: "the disk was full"})
		}
		add()
	}
	if end {
		j.end(code)
		add()
	}
	return j.id
}

// With the database gone, everything that journals record comes back as it was, whatever had
// been merged, packed and copied before.
func TestRebuild(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 7))
		dir := t.TempDir()
		a, err := archive.OpenDir(filepath.Join(dir, "archive"))
		if err != nil {
			t.Fatal(err)
		}
		o := store.Options{Dir: dir, Archive: a, Relaxed: true}
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		runs := map[string]int{}
		for n := range 8 {
			at := noon.Add(time.Duration(n) * time.Hour)
			first := journal.Attempt{Job: []string{"train", "etl"}[random.IntN(2)], Labels: map[string]string{"team": "ml"}}
			retried := random.IntN(4) == 0
			id := randomRun(t, s, random, first, at, random.IntN(2), retried || n < 6)
			runs[id] = 1
			if run := mustRun(t, s, id); run.State == job.Failed {
				first.Run, first.Attempt = id, 2
				randomRun(t, s, random, first, at.Add(20*time.Minute), 0, true)
				runs[id] = 2
			}
			switch random.IntN(4) {
			case 0:
				if err := s.Tidy(t.Context(), at.Add(10*time.Minute)); err != nil {
					t.Fatal(err)
				}
			case 1: // another process, so another segment
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = store.Open(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := readAll(t, s, runs)
		bytesBefore, err := s.StoredBytes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		loseDatabase(t, dir, seed%2 == 0)
		sum, err := recovery.Rebuild(t.Context(), o, objectsIn(a), func(f recovery.Finding) { t.Errorf("seed %d: %+v", seed, f) })
		if err != nil || sum.Runs != len(runs) {
			t.Fatalf("seed %d: %+v, %v", seed, sum, err)
		}
		s = openWith(t, o)
		if diff := cmp.Diff(before, readAll(t, s, runs), eventTimes); diff != "" {
			t.Fatalf("seed %d: what was stored differs (-before +after): %s", seed, diff[:min(len(diff), 4000)])
		}
		if bytesAfter, err := s.StoredBytes(t.Context()); err != nil || seed < 2 && bytesAfter < bytesBefore/2 || bytesAfter > bytesBefore*2 {
			t.Errorf("seed %d: %d bytes stored, %d before, %v", seed, bytesAfter, bytesBefore, err)
		}
		if found := check(t, s, false); len(found) != 0 {
			t.Errorf("seed %d: the new database: %+v", seed, found)
		}
		pack(t, s) // and it lives on
		next := randomRun(t, s, random, journal.Attempt{Job: "train"}, noon.Add(20*time.Hour), 0, true)
		if found := check(t, s, false); len(found) != 0 || mustRun(t, s, next).Number < 2 {
			t.Errorf("seed %d: after packing: %+v", seed, found)
		}
		if got, _ := readBack(t, s, next, 1); len(got) == 0 {
			t.Error("a new run is not stored")
		}
		for id, all := range before {
			for i, one := range all {
				if got, _ := readBack(t, s, id, i+1); !bytes.Equal(got, one.Journal) {
					t.Errorf("seed %d: run %s differs after packing", seed, id)
				}
			}
		}
	}
}

// loseDatabase takes the database away, or spoils it.
func loseDatabase(t *testing.T, dir string, gone bool) {
	t.Helper()
	file := filepath.Join(dir, "stint.db")
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if gone {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[:len(data)/2])
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A server does not begin on journals without their database: it would delete them. One
// that is whole is not built anew.
func TestRebuildOnlyWhatIsLost(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Dir: dir}
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	id, sent := longRun(t, s, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report := func(f recovery.Finding) { t.Errorf("found: %+v", f) }
	var whole *recovery.WholeError
	if _, err := recovery.Rebuild(t.Context(), o, nil, report); !errors.As(err, &whole) {
		t.Errorf("a whole database was built anew: %v", err)
	}
	loseDatabase(t, dir, true)
	var lost *store.LostDatabaseError
	if _, err := store.Open(t.Context(), o); !errors.As(err, &lost) {
		t.Fatalf("opened without the database: %v", err)
	}
	sum, err := recovery.Rebuild(t.Context(), o, nil, report)
	if err != nil || sum.Aside != "" {
		t.Fatalf("%+v, %v", sum, err)
	}
	s = openWith(t, o)
	if run := mustRun(t, s, id); run.State != job.Running {
		t.Errorf("a run that goes on is %s", run.State)
	}
	if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Error("the journal differs")
	}
	if size, err := s.JournalSize(t.Context(), id, 1); err != nil || size != int64(len(sent)) {
		t.Errorf("its agent goes on from %d instead of %d: %v", size, len(sent), err)
	}
}

// Damage in a segment costs what it hit and what came after it of the same run, and is
// reported; everything else comes back.
func TestRebuildAroundDamage(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Dir: dir}
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	first, sent := longRun(t, s, true)
	second, whole := longRun(t, s, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loseDatabase(t, dir, true)
	files := filesIn(t, filepath.Join(dir, "segments"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	var found []recovery.Finding
	sum, err := recovery.Rebuild(t.Context(), o, nil, func(f recovery.Finding) { found = append(found, f) })
	if err != nil || sum.Runs != 2 || len(found) != 2 || found[1].Run != first {
		t.Fatalf("%+v, %+v, %v", sum, found, err)
	}
	s = openWith(t, o)
	if body, _ := readBack(t, s, second, 1); !bytes.Equal(body, whole[journal.HeaderSize:]) {
		t.Error("the run after the damage differs")
	}
	body, _ := readBack(t, s, first, 1)
	if len(body) == 0 || !bytes.HasPrefix(sent[journal.HeaderSize:], body) {
		t.Errorf("of the damaged run there are %d bytes, or others", len(body))
	}
}

// PostgreSQL gets back what the archive has, and keeps what it holds.
func TestRebuildPostgres(t *testing.T) {
	url := postgrestest.URL(t)
	a, _ := openArchive(t)
	o := store.Options{URL: url, Archive: a}
	s := openWith(t, o)
	id, sent := longRun(t, s, true)
	pack(t, s)
	before := readAll(t, s, map[string]int{id: 1})
	report := func(f recovery.Finding) { t.Errorf("found: %+v", f) }
	var whole *recovery.WholeError
	if _, err := recovery.Rebuild(t.Context(), o, objectsIn(a), report); !errors.As(err, &whole) {
		t.Errorf("a database with journals was filled: %v", err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	change(t, db, `TRUNCATE runs, attempts, blocks, jobs, objects, events, job_bands, run_counts, stored_bytes CASCADE`)
	sum, err := recovery.Rebuild(t.Context(), o, objectsIn(a), report)
	if err != nil || sum.Runs != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if diff := cmp.Diff(before, readAll(t, s, map[string]int{id: 1}), eventTimes); diff != "" {
		t.Error("differs (-before +after):", diff)
	}
	if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Error("the journal differs")
	}
}

// A segment that is kept by a few small packed runs alone is emptied: they are copied on,
// with what is known of them.
func TestCopiesMoveOn(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Dir: dir, Relaxed: true}
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]int{endedRun(t, s, "small", noon, 100): 1}
	longRun(t, s, false) // what the segment is full of, until it is packed
	pack(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	endedRun(t, s, "other", noon, 100)
	before := readAll(t, s, runs)
	for range 3 { // the rest is packed, copied on, and then removed
		if err := s.Tidy(t.Context(), time.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if left := filesIn(t, filepath.Join(dir, "segments")); len(left) != 1 || filepath.Base(left[0]) == "00000001.seg" {
		t.Fatalf("segments: %v", left)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loseDatabase(t, dir, true)
	sum, err := recovery.Rebuild(t.Context(), o, nil, func(f recovery.Finding) { t.Errorf("found: %+v", f) })
	if err != nil || sum.Runs != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	s = openWith(t, o)
	if diff := cmp.Diff(before, readAll(t, s, runs), eventTimes); diff != "" {
		t.Error("differs (-before +after):", diff)
	}
}

// A damaged object costs what comes after the damage in its run. It is reported, and
// nothing is deleted for it.
func TestRebuildAroundADamagedObject(t *testing.T) {
	for _, place := range []int{0, 2} { // thirds of the object
		dir := t.TempDir()
		a, path := openArchive(t)
		o := store.Options{Dir: dir, Archive: a, Relaxed: true}
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		id, sent := longRun(t, s, true)
		pack(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		loseDatabase(t, dir, true)
		if err := os.RemoveAll(filepath.Join(dir, "segments")); err != nil { // they may have it all still
			t.Fatal(err)
		}
		objects := filesIn(t, path)
		data, err := os.ReadFile(objects[0])
		if err != nil || len(objects) != 1 {
			t.Fatal(objects, err)
		}
		data[1000+place*len(data)/3] ^= 1
		if err := os.WriteFile(objects[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
		var found []recovery.Finding
		if _, err := recovery.Rebuild(t.Context(), o, objectsIn(a), func(f recovery.Finding) { found = append(found, f) }); err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 || found[0].Run != id {
			t.Errorf("found: %+v", found)
		}
		s = openWith(t, o)
		if body, _ := readBack(t, s, id, 1); !bytes.HasPrefix(sent[journal.HeaderSize:], body) || (len(body) > 0) != (place > 0) {
			t.Errorf("%d bytes came back, or others", len(body))
		}
		if err := s.Tidy(t.Context(), noon.Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if left := filesIn(t, path); len(left) != 1 {
			t.Errorf("objects: %v", left)
		}
	}
}
