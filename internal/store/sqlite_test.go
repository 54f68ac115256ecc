package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

func TestReopenFindsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "d?#% é")
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	id, data := whole(t, journal.Attempt{}, 0, "kept\n")
	one(t, s, id, 1, 0, data)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "stint.db")); err != nil {
		t.Error(err)
	}
	s, err = store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	if all, _ := readBack(t, s, id, 1); string(all) != string(data[journal.HeaderSize:]) {
		t.Error("journal differs")
	}
}

func TestTwoServersOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{Dir: dir})
	var inUse *store.InUseError
	if !errors.As(err, &inUse) || inUse.PID != strconv.Itoa(os.Getpid()) || inUse.Dir != dir {
		t.Errorf("second server: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewerSchemaIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "stint.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal must not keep the directory
		_, err = store.Open(t.Context(), store.Options{Dir: dir})
		var newer *store.NewerSchemaError
		if !errors.As(err, &newer) || newer.Have != 99 {
			t.Errorf("open: %v", err)
		}
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	garbage := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, "stint.db"), []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), garbage, "/proc/stint"} {
		_, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("open %s: %v", dir, err)
		}
		t.Log(err)
	}
	for _, o := range []store.Options{{}, {Dir: "a", URL: "b"}, {URL: "postgres://127.0.0.1:1/x?connect_timeout=2"}, {URL: "postgres://[::1"}} {
		if _, err := store.Open(t.Context(), o); err == nil {
			t.Errorf("open %+v succeeded", o)
		} else {
			t.Log(err)
		}
	}
}

// What a person can do about a database that is damaged or in use is in the error, and no advice that does not help.
func TestAdviceAboutTheDatabase(t *testing.T) {
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "stint.db"), []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Dir: damaged})
	if err == nil || !strings.Contains(err.Error(), "check --rebuild") || strings.Contains(err.Error(), "right to write") {
		t.Errorf("a damaged database: %v", err)
	}
	name := "file:" + filepath.Join(t.TempDir(), "x.db") + "?_pragma=busy_timeout(0)"
	var connections [2]*sql.DB
	for i := range connections {
		if connections[i], err = sql.Open("sqlite", name); err != nil {
			t.Fatal(err)
		}
		defer connections[i].Close()
		connections[i].SetMaxOpenConns(1)
	}
	if _, err := connections[0].Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	if _, err := connections[1].Exec("CREATE TABLE t (a)"); !strings.Contains(db.Advice(err), "another program") {
		t.Errorf("a database in use: %v, %q", err, db.Advice(err))
	}
	if got := db.Advice(os.ErrPermission); got != "" {
		t.Errorf("another error: %q", got)
	}
}

// downgrade undoes the migrations after a version; engine is the directory of them.
func downgrade(db *sql.DB, engine string, to int) error {
	files, err := filepath.Glob("db/migrations/" + engine + "/*.sql")
	if err != nil {
		return err
	}
	for _, file := range slices.Backward(files) {
		version, err := strconv.Atoi(filepath.Base(file)[:5])
		if err != nil || version <= to {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_, down, _ := strings.Cut(string(text), "-- +goose Down")
		if _, err := db.Exec(down + `; DELETE FROM schema_version WHERE version_id = ` + strconv.Itoa(version)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// Peaks of the time before memory meant memory in use are not compared with new ones.
func TestUsualMemoryIsLearnedAnew(t *testing.T) {
	dir := t.TempDir()
	good := func(s *store.Store, peak int64) {
		t.Helper()
		j := newJournal(t, journal.Attempt{Job: "daily"})
		j.command()
		j.sample(peak)
		j.end(0)
		_, data := j.take()
		one(t, s, j.id, 1, 0, data)
	}
	usual := func(s *store.Store) job.Usual {
		t.Helper()
		sum, err := s.Job(t.Context(), "daily")
		if err != nil || sum.Usual == nil {
			t.Fatalf("job: %+v, %v", sum, err)
		}
		return *sum.Usual
	}
	s := openDir(t, dir)
	good(s, 9<<20)
	if u := usual(s); u.PeakMemoryP95Bytes != 9<<20 {
		t.Errorf("usual: %+v", u)
	}
	closeStore(t, s)
	db, err := sql.Open("sqlite", filepath.Join(dir, "stint.db"))
	if err == nil {
		err = errors.Join(downgrade(db, "sqlite", 11), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir) // as the first time with this version
	defer closeStore(t, s)
	if u := usual(s); u.Runs != 1 || u.PeakMemoryP95Bytes != 0 {
		t.Errorf("usual after the upgrade: %+v", u)
	}
	good(s, 3<<20)
	if u := usual(s); u.Runs != 2 || u.PeakMemoryP95Bytes != 3<<20 {
		t.Errorf("usual of a run since then: %+v", u)
	}
	runs, err := s.GoodRunsBefore(t.Context(), job.Run{Job: "daily", StartAt: time.Now().Add(time.Hour)}, 10)
	if err != nil || len(runs) != 2 || runs[0].Usage.PeakMemoryBytes != 3<<20 || runs[1].Usage.PeakMemoryBytes != 0 {
		t.Errorf("good runs, of which only the last one's memory is memory in use: %+v, %v", runs, err)
	}
}

// What works beside a server never changes the schema that the server works with.
func TestBesideAServerOfAnotherVersion(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options, db *sql.DB) {
		var version int64
		must(t, db.QueryRow(`SELECT MAX(version_id) FROM schema_version`).Scan(&version))
		if _, err := db.Exec(`DELETE FROM schema_version WHERE version_id = ` + strconv.FormatInt(version, 10)); err != nil {
			t.Fatal(err)
		}
		o.Beside = true
		beside, err := store.Open(t.Context(), o)
		if err == nil {
			_ = beside.Close()
		}
		var older *store.OlderSchemaError
		if !errors.As(err, &older) || older.Have >= version || older.Want != version {
			t.Errorf("an older schema: %v", err)
		}
		var now int64
		must(t, db.QueryRow(`SELECT MAX(version_id) FROM schema_version`).Scan(&now))
		if now >= version {
			t.Fatalf("the schema was brought from an older version to %d", now)
		}
		_, err = db.Exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (` + strconv.FormatInt(version, 10) + `, true)`)
		must(t, err)
		if beside, err = store.Open(t.Context(), o); err != nil {
			t.Fatalf("the same schema: %v", err)
		}
		must(t, beside.Close())
	})
}

// eachDatabase calls test with the options of a store that is open, and a connection of
// its own to the database.
func eachDatabase(t *testing.T, test func(*testing.T, store.Options, *sql.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		o := store.Options{Dir: t.TempDir()}
		openWith(t, o)
		db, err := sql.Open("sqlite", "file:"+filepath.Join(o.Dir, "stint.db"))
		must(t, err)
		defer db.Close() //nolint:errcheck // the test is over
		test(t, o, db)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		o := store.Options{URL: postgrestest.URL(t)}
		openWith(t, o)
		db, err := sql.Open("pgx", o.URL)
		must(t, err)
		defer db.Close() //nolint:errcheck // the test is over
		test(t, o, db)
	})
}

// The routes of a server that was killed are served by the next one at once.
func TestRoutesOfAKilledServerAreReleased(t *testing.T) {
	o := store.Options{Dir: t.TempDir()}
	o.SecretKeyFile = filepath.Join(t.TempDir(), "key")
	for _, owner := range []string{"first", "second"} {
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetRoute(t.Context(), api.Route{Name: "team", ChangedAt: noon}); err != nil {
			t.Fatal(err)
		}
		mine, err := s.ReserveRoute(t.Context(), "team", owner, noon, noon.Add(time.Minute))
		if err != nil || !mine {
			t.Errorf("the route is claimed by the %s server: %v, %v", owner, mine, err)
		}
		if err := s.Close(); err != nil { // without giving the route back
			t.Fatal(err)
		}
	}
}
