package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// moodyArchive fails at some objects.
type moodyArchive struct {
	store.Archive
	mu    sync.Mutex
	bad   func(op, key string) bool
	calls map[string]int // by operation
}

func (a *moodyArchive) fails(op, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[op]++
	if a.bad != nil && a.bad(op, key) {
		return fmt.Errorf("the archive says no: %s %s", op, key)
	}
	return nil
}

func (a *moodyArchive) set(bad func(op, key string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bad = bad
	clear(a.calls)
}

func (a *moodyArchive) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := a.fails("put", key); err != nil {
		return err
	}
	return a.Archive.Put(ctx, key, r, size)
}

func (a *moodyArchive) Delete(ctx context.Context, key string) error {
	if err := a.fails("delete", key); err != nil {
		return err
	}
	return a.Archive.Delete(ctx, key)
}

// onBothMoody runs a test on both databases, with an archive that may fail and a clock.
func onBothMoody(t *testing.T, keep store.Keep, test func(t *testing.T, s *store.Store, a *moodyArchive, now *time.Time)) {
	for name, options := range map[string]func(*testing.T) store.Options{
		"SQLite":     func(t *testing.T) store.Options { return store.Options{Dir: t.TempDir()} },
		"PostgreSQL": func(t *testing.T) store.Options { return store.Options{URL: postgrestest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := openArchive(t)
			a := &moodyArchive{Archive: dir, calls: map[string]int{}}
			now := noon
			o := options(t)
			keep.AtOnce = true
			o.Archive, o.Keep = a, keep
			s := openWith(t, o)
			s.SetClock(func() time.Time { return now })
			test(t, s, a, &now)
		})
	}
}

func tidy(t *testing.T, s *store.Store, now time.Time) {
	t.Helper()
	if err := s.Tidy(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

// kindsOf are the kinds and ids of the troubled items, sorted.
func kindsOf(t *testing.T, s *store.Store) []string {
	t.Helper()
	var out []string
	for _, item := range items(t, s) {
		out = append(out, item.Kind+" "+item.ID)
	}
	slices.Sort(out)
	return out
}

func wantTroubled(t *testing.T, s *store.Store, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := kindsOf(t, s); !slices.Equal(got, want) {
		t.Errorf("troubled items %q, want %q", got, want)
	}
}

// A block that is damaged keeps its own journal from being trimmed, and no other.
func TestADamagedBlockKeepsNoOtherJournalFromBeingTrimmed(t *testing.T) {
	const limit = 1 << 20
	onBothMoody(t, store.Keep{RunLog: limit}, func(t *testing.T, s *store.Store, _ *moodyArchive, now *time.Time) {
		var ids []string
		var sizes []int64
		for i := range 3 {
			j := newJournal(t, journal.Attempt{})
			j.command()
			for k := range 30 {
				j.output(noise(30*i+k, 100_000))
				offset, data := j.take()
				one(t, s, j.id, 1, offset, data)
			}
			ids = append(ids, j.id)
			size, err := s.JournalSize(t.Context(), j.id, 1)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, size)
		}
		bad := ids[0] // the first that is due
		damage := `UPDATE blocks SET size = size + $2 WHERE run_id = $1 AND start > 1000000 AND start < 2000000`
		if err := s.Exec(t.Context(), damage, bad, 7); err != nil {
			t.Fatal(err)
		}
		trimmed := func(id string) bool { return len(mustRun(t, s, id).Output.Gaps) > 0 }
		tidy(t, s, noon.Add(time.Hour))
		if trimmed(bad) || !trimmed(ids[1]) || !trimmed(ids[2]) {
			t.Errorf("trimmed: %v %v %v of %d bytes", trimmed(bad), trimmed(ids[1]), trimmed(ids[2]), sizes)
		}
		if got := kindsOf(t, s); !slices.Contains(got, "trim "+bad+"/1") {
			t.Errorf("troubled items: %q", got)
		}
		if err := s.Exec(t.Context(), damage, bad, -7); err != nil {
			t.Fatal(err)
		}
		*now = noon.Add(time.Minute)
		tidy(t, s, noon.Add(time.Hour))
		if !trimmed(bad) {
			t.Error("the block is whole again, and its journal was not trimmed")
		}
		if got := kindsOf(t, s); slices.Contains(got, "trim "+bad+"/1") {
			t.Errorf("troubled items: %q", got)
		}
	})
}

// A journal that cannot be packed keeps no other from it, and an archive that is away is not
// asked for each of them.
func TestAnObjectThatCannotBeStored(t *testing.T) {
	onBothMoody(t, store.Keep{}, func(t *testing.T, s *store.Store, a *moodyArchive, now *time.Time) {
		var ids []string
		for range 6 {
			ids = append(ids, endedRun(t, s, "a", noon, 200<<10))
		}
		a.set(func(_, key string) bool { return strings.HasPrefix(key, ids[0]) })
		later := noon.Add(time.Hour)
		tidy(t, s, later)
		if a.calls["put"] != 6 {
			t.Errorf("%d objects were tried, want 6", a.calls["put"])
		}
		wantTroubled(t, s, "pack "+ids[0]+"/1")
		a.set(nil)
		*now = noon.Add(time.Minute)
		tidy(t, s, later.Add(10*time.Minute)) // the reservation has expired
		wantTroubled(t, s)

		for range 6 {
			endedRun(t, s, "b", noon, 200<<10)
		}
		small := endedRun(t, s, "b", noon.Add(time.Second), 1000) // behind all of them, and needs no archive
		a.set(func(string, string) bool { return true })
		*now = noon.Add(time.Hour)
		if err := s.Tidy(t.Context(), later.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "the archive says no") {
			t.Errorf("an archive that is away: %v", err)
		}
		if a.calls["put"] != 3 {
			t.Errorf("%d objects were tried while the archive is away, want 3", a.calls["put"])
		}
		if n, err := s.CountRows(t.Context(), `blocks WHERE codec = 1 AND run_id = '`+small+`'`); err != nil || n == 0 {
			t.Errorf("the small journal behind them has %d packed blocks, %v", n, err)
		}
	})
}

// A step that finds the blocks changed releases its reservation, and the next one packs the journal at
// once. One whose blocks change all the time is left for the next round, and is no trouble.
func TestBlocksThatChangeWhileTheyArePacked(t *testing.T) {
	onBothMoody(t, store.Keep{}, func(t *testing.T, s *store.Store, a *moodyArchive, _ *time.Time) {
		j := newJournal(t, journal.Attempt{})
		arrive := func(blocks, size int) {
			for i := range blocks {
				j.output(noise(i, size))
				offset, data := j.take()
				one(t, s, j.id, 1, offset, data)
			}
		}
		j.command()
		arrive(1, 200<<10)
		arrive(5, 100) // 11 more are merged with them
		later := noon.Add(time.Hour)
		if err := s.Exec(t.Context(), `UPDATE attempts SET pack_at = 0`); err != nil { // as if it kept an old segment
			t.Fatal(err)
		}
		packed := func() bool {
			n, err := s.CountRows(t.Context(), `attempts WHERE packed > 0 AND packer IS NULL AND pack_at IS NULL`)
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		}
		for _, c := range []struct{ changes, puts int }{{math.MaxInt, 3}, {1, 2}} {
			left := c.changes
			a.set(func(string, string) bool {
				if left--; left >= 0 {
					arrive(16, 100)
				}
				return false
			})
			tidy(t, s, later)
			if want := c.changes < c.puts; a.calls["put"] != c.puts || packed() != want {
				t.Errorf("%d changes: %d objects were stored, want %d; packed is %v, want %v", c.changes, a.calls["put"], c.puts, packed(), want)
			}
			wantTroubled(t, s)
		}
	})
}

// An object that cannot be deleted keeps no other; an archive that is away is not asked for
// each of a hundred.
func TestAnObjectThatCannotBeDeleted(t *testing.T) {
	onBothMoody(t, store.Keep{Age: 24 * time.Hour}, func(t *testing.T, s *store.Store, a *moodyArchive, now *time.Time) {
		var ids []string
		for range 6 {
			ids = append(ids, endedRun(t, s, "a", noon, 200<<10))
		}
		tidy(t, s, noon.Add(time.Hour)) // packs
		a.set(func(op, key string) bool { return op == "delete" && strings.HasPrefix(key, ids[0]) })
		tidy(t, s, noon.Add(48*time.Hour)) // deletes the runs
		tidy(t, s, noon.Add(48*time.Hour)) // and what they leave
		if a.calls["delete"] != 6 {
			t.Errorf("%d objects were tried, want 6", a.calls["delete"])
		}
		if got := kindsOf(t, s); len(got) != 1 || !strings.HasPrefix(got[0], "delete_object "+ids[0]) {
			t.Errorf("troubled items: %q", got)
		}
		*now = now.Add(time.Minute)
		a.set(nil)
		tidy(t, s, noon.Add(48*time.Hour))
		wantTroubled(t, s)

		for range 6 {
			endedRun(t, s, "b", noon, 200<<10)
		}
		tidy(t, s, noon.Add(time.Hour))
		a.set(func(op, _ string) bool { return op == "delete" })
		if err := errors.Join(s.Tidy(t.Context(), noon.Add(48*time.Hour)), s.Tidy(t.Context(), noon.Add(48*time.Hour))); err == nil {
			t.Error("nothing is reported of an archive that is away")
		}
		if n := a.calls["delete"]; n < 3 || n > 6 {
			t.Errorf("%d objects were tried in two rounds while the archive is away, want 3 in each", n)
		}
	})
}

// refuseDelete makes the database refuse to delete one run.
func refuseDelete(t *testing.T, s *store.Store, id string) {
	t.Helper()
	statements := []string{`CREATE TRIGGER refuse BEFORE DELETE ON runs WHEN OLD.id = '` + id + `' BEGIN SELECT RAISE(ABORT, 'refused'); END`}
	if s.Postgres() {
		statements = []string{
			`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`,
			`CREATE TRIGGER refuse BEFORE DELETE ON runs FOR EACH ROW WHEN (OLD.id = '` + id + `') EXECUTE FUNCTION refuse()`,
		}
	}
	for _, one := range statements {
		if err := s.Exec(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
}

// A run that cannot be deleted keeps no other one, whichever rule is to delete it.
func TestARunThatCannotBeDeleted(t *testing.T) {
	for name, keep := range map[string]store.Keep{
		"age": {Age: time.Hour}, "count": {Runs: 1}, "size": {Bytes: 5 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			onBothMoody(t, keep, func(t *testing.T, s *store.Store, _ *moodyArchive, _ *time.Time) {
				var ids []string
				for i := range 5 {
					ids = append(ids, endedRun(t, s, "a", noon.Add(time.Duration(i)*time.Second), 3000))
				}
				refuseDelete(t, s, ids[0])
				tidy(t, s, noon.Add(2*time.Hour))
				if gone(t, s, ids[1]) != true || gone(t, s, ids[2]) != true {
					t.Error("the runs behind one that cannot be deleted are still there")
				}
				if _, err := s.Run(t.Context(), ids[0]); err != nil {
					t.Errorf("the run that cannot be deleted: %v", err)
				}
				wantTroubled(t, s, "delete_run "+ids[0])
			})
		})
	}
}

// Nor is one that begins to go on in a transaction of another server, which has not ended yet.
func TestARunThatAnotherServerRetriesIsNotDeleted(t *testing.T) {
	url := postgrestest.URL(t)
	s := openWith(t, store.Options{URL: url})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	id := endedRun(t, s, "a", noon, 3000)
	other, err := sql.Open("pgx", url)
	must(t, err)
	defer other.Close() //nolint:errcheck // the test is over
	retry, err := other.BeginTx(ctx, nil)
	must(t, err)
	_, err = retry.ExecContext(ctx, `UPDATE runs SET state = 'retrying' WHERE id = $1`, id)
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.DeleteRun(ctx, id) }()
	for waits := 0; waits == 0; { // until the deletion waits for the row
		must(t, other.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits))
	}
	must(t, retry.Commit())
	must(t, <-ended)
	if gone(t, s, id) {
		t.Error("the run was deleted")
	}
	if heads, err := s.Blocks(ctx, id, 1, 0, 1); err != nil || len(heads) != 1 {
		t.Errorf("its journal: %v %v", heads, err)
	}
}

// A run that goes on is not deleted, though it had ended when it was chosen.
func TestARunThatGoesOnIsNotDeleted(t *testing.T) {
	onBothMoody(t, store.Keep{}, func(t *testing.T, s *store.Store, _ *moodyArchive, _ *time.Time) {
		j := running(t, s, journal.Attempt{})
		if err := s.DeleteRun(t.Context(), j.id); err != nil {
			t.Fatal(err)
		}
		if gone(t, s, j.id) {
			t.Error("a run that goes on was deleted")
		}
		if heads, err := s.Blocks(t.Context(), j.id, 1, 0, 1); err != nil || len(heads) != 1 {
			t.Errorf("its journal: %v %v", heads, err)
		}
	})
}

// A run that prints more than may be kept deletes at most half of the history, and it is reported
// why there is too much.
func TestARunawayRunKeepsTheHistory(t *testing.T) {
	const limit = 1 << 20
	onBothMoody(t, store.Keep{Bytes: limit}, func(t *testing.T, s *store.Store, _ *moodyArchive, _ *time.Time) {
		var ids []string
		for i := range 10 {
			ids = append(ids, endedRun(t, s, fmt.Sprint("job", i%2), noon.Add(time.Duration(i)*time.Minute), 70_000))
		}
		j := newJournal(t, journal.Attempt{})
		j.command()
		for i := range 30 {
			j.output(noise(i, 60_000))
			offset, data := j.take()
			one(t, s, j.id, 1, offset, data)
		}
		err := s.Tidy(t.Context(), noon)
		if err == nil || !strings.Contains(err.Error(), "for active runs") {
			t.Errorf("what is reported: %v", err)
		}
		left := 0
		for _, id := range ids {
			if !gone(t, s, id) {
				left++
			}
		}
		if left != 7 { // of 70,000 bytes and some each, in half of the limit
			t.Errorf("%d of 10 ended runs are left, want 7", left)
		}
		j.end(0)
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
		if err := s.Tidy(t.Context(), noon.Add(-time.Hour)); err != nil { // nothing is packed
			t.Fatal(err)
		}
		if bytes, err := s.StoredBytes(t.Context()); err != nil || bytes > limit {
			t.Errorf("%d bytes of %d after it ended, %v", bytes, limit, err)
		}
	})
}

// An agent whose clock is years ahead cannot keep a run from being deleted.
func TestAClockInTheFutureKeepsNoRun(t *testing.T) {
	onBothMoody(t, store.Keep{Age: 24 * time.Hour}, func(t *testing.T, s *store.Store, _ *moodyArchive, _ *time.Time) {
		j := newJournal(t, journal.Attempt{})
		j.at = noon.AddDate(9, 0, 0)
		j.command()
		j.end(0)
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
		if run := mustRun(t, s, j.id); run.State != job.Succeeded || run.EndedAt.Before(noon.AddDate(8, 0, 0)) {
			t.Fatalf("%+v", run)
		}
		tidy(t, s, noon.Add(23*time.Hour))
		if gone(t, s, j.id) {
			t.Error("it was deleted too early")
		}
		tidy(t, s, noon.Add(25*time.Hour))
		if !gone(t, s, j.id) {
			t.Error("it is kept until 2035")
		}
	})
}

// Each start of a server begins a row that counts stored bytes; they are added up.
func TestRowsOfStoredBytesAreAddedUp(t *testing.T) {
	onBothMoody(t, store.Keep{}, func(t *testing.T, s *store.Store, _ *moodyArchive, _ *time.Time) {
		endedRun(t, s, "a", noon, 5000)
		before, err := s.StoredBytes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := s.Exec(t.Context(), fmt.Sprintf(`INSERT INTO stored_bytes (server, bytes) VALUES ('server %d', %d)`, i, i)); err != nil {
				t.Fatal(err)
			}
		}
		tidy(t, s, noon.Add(-time.Hour)) // nothing is packed
		rows, err := s.CountRows(t.Context(), "stored_bytes")
		after, berr := s.StoredBytes(t.Context())
		if err != nil || berr != nil || rows != 1 || after != before+190 {
			t.Errorf("%d rows, %d bytes, want 1 row with %d: %v %v", rows, after, before+190, err, berr)
		}
	})
}

// A segment that cannot be read any more keeps no journal from growing: neither those that have bytes
// in it, nor those that are committed with them.
func TestASegmentThatCannotBeReadKeepsNoAppend(t *testing.T) {
	dir := t.TempDir()
	a, b := newJournal(t, journal.Attempt{}), newJournal(t, journal.Attempt{})
	a.command()
	b.command()
	grow := func(s *store.Store, n int) {
		t.Helper()
		for _, j := range []*testJournal{a, b} {
			j.output(noise(n, 6000)) // more than a row takes, and less than is left alone
		}
		aOffset, aData := a.take()
		bOffset, bData := b.take()
		done, _, err := s.Ingest(t.Context(), []index.Append{
			{Run: a.id, Attempt: 1, Offset: aOffset, Data: aData, At: noon}, {Run: b.id, Attempt: 1, Offset: bOffset, Data: bData, At: noon},
		}, nil)
		if err != nil || done[0].Err != nil || done[1].Err != nil {
			t.Fatalf("append %d: %v %+v", n, err, done)
		}
	}
	during(t, store.Options{Dir: dir}, func(s *store.Store) {
		for n := range 10 {
			grow(s, n)
		}
	})
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	during(t, store.Options{Dir: dir}, func(s *store.Store) {
		for _, file := range segments {
			must(t, os.Truncate(file, 5000))
		}
		for n := range 40 {
			grow(s, 10+n)
		}
		if _, err := s.BlockData(t.Context(), a.id, 1, journal.HeaderSize); err == nil {
			t.Error("bytes that are gone were read")
		}
		last, err := s.LastBlocks(t.Context(), a.id, 1, 1)
		if err != nil || len(last) != 1 {
			t.Fatal(last, err)
		}
		if _, err := s.BlockData(t.Context(), a.id, 1, last[0].Start); err != nil {
			t.Errorf("what came later: %v", err)
		}
		a.end(0)
		offset, data := a.take()
		one(t, s, a.id, 1, offset, data)
		tidy(t, s, noon.Add(time.Hour))
		wantTroubled(t, s, "pack "+a.id+"/1")
	})
}
