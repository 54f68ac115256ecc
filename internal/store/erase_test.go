package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/erase"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
	"stint.dev/stint/job/ref"
	"stint.dev/stint/journal"
)

// searched are directories in which a secret must not be.
type searched struct {
	t      *testing.T
	dirs   []string
	secret string
}

// found returns the files that have a part of the secret.
func (s searched) found() (names []string) {
	s.t.Helper()
	parts := [][]byte{[]byte(s.secret[:14]), []byte(s.secret[6:20]), []byte(s.secret[len(s.secret)-14:])}
	for _, dir := range s.dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // PostgreSQL removes files meanwhile
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if slices.ContainsFunc(parts, func(part []byte) bool { return bytes.Contains(data, part) }) {
				names = append(names, path)
			}
			return nil
		})
		must(s.t, err)
	}
	return names
}

// The bytes of a deleted run are in no file of the database, of the data directory or of the archive, and the other runs are
// as before.
func TestErasedBytesAreGone(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		a, objects := openArchive(t)
		dir := t.TempDir()
		erasedBytes(t, store.Options{Dir: dir, Archive: a, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}, dir, objects)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		own, err := postgrestest.StartOwn()
		if errors.Is(err, postgrestest.ErrMissing) {
			t.Skip("this machine has no PostgreSQL")
		}
		must(t, err)
		t.Cleanup(func() { must(t, own.Close()) })
		url, err := own.Create(t.Context(), "stint")
		must(t, err)
		a, objects := openArchive(t)
		o := store.Options{URL: url, Archive: a, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}
		s := openWith(t, o)
		dir, err := s.PostgresDirectory(t.Context())
		must(t, err)
		erasedBytes(t, o, dir, objects)
	})
}

func erasedBytes(t *testing.T, o store.Options, dirs ...string) {
	s := openWith(t, o)
	in := searched{t, dirs, rand.Text()}
	print := func(name string, secret string, big int) string {
		j := newJournal(t, journal.Attempt{
			Job: name, Args: []string{"sh", "-c", "echo " + secret}, Labels: map[string]string{"key": secret}, Host: "h" + secret,
		})
		j.at = noon
		j.command()
		half := len(secret) / 2
		j.output("token " + secret[:half])
		j.output(secret[half:] + "\n" + noise(len(name), big) + secret)
		must(t, j.w.Append(journal.OutputRecord(j.tick(), journal.Output{Step: 0, Stream: job.Stderr, Data: []byte("fatal: " + secret + "\n")})))
		j.sample(1 << 20)
		j.json(journal.TypeNote, journal.Note{Text: secret})
		j.end(1)
		offset, data := j.take()
		got, _, err := s.Ingest(t.Context(), []index.Append{{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon}}, nil)
		if err != nil || got[0].Err != nil {
			t.Fatal(err, got[0].Err)
		}
		return j.id
	}
	var deleted, kept []string
	for i := range 12 {
		kept = append(kept, print("kept", fmt.Sprintf("harmless text %d of the same length", i), 100*i))
		deleted = append(deleted, print("secret", in.secret, 0), print("secret", in.secret, 3000), print("secret", in.secret, 300<<10*(i%2)))
		if i == 6 {
			must(t, s.Tidy(t.Context(), noon.Add(time.Hour)))
		}
	}
	must(t, s.Tidy(t.Context(), noon.Add(2*time.Hour)))
	before := mustLogs(t, s, kept)
	if len(in.found()) == 0 {
		t.Fatal("the secret is nowhere before it is deleted")
	}
	for _, id := range deleted[:4] {
		if _, err := s.EraseRun(t.Context(), id, "mia"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.DeleteJob(t.Context(), "secret", "mia"); err != nil {
		t.Fatal(err)
	}
	must(t, s.Tidy(t.Context(), noon.Add(3*time.Hour)))
	n, err := s.Erase(t.Context())
	if err != nil || n != len(deleted) {
		t.Fatalf("erased %d runs of %d: %v", n, len(deleted), err)
	}
	if names := in.found(); len(names) > 0 {
		t.Errorf("the secret is still in %s", strings.Join(names, ", "))
	}
	if after := mustLogs(t, s, kept); after != before {
		t.Error("a run that was not deleted has changed")
	}
	if n, err := s.Erase(t.Context()); err != nil || n != 0 {
		t.Errorf("erased again: %d, %v", n, err)
	}
	if o.Dir != "" {
		if problem := s.IntegrityCheck(t.Context()); problem != "ok" {
			t.Errorf("the database: %s", problem)
		}
	}
}

// mustLogs returns runs and their journals as text.
func mustLogs(t *testing.T, s *store.Store, ids []string) string {
	t.Helper()
	var b strings.Builder
	for _, id := range ids {
		heads, err := s.Blocks(t.Context(), id, 1, 0, 100)
		must(t, err)
		doc, err := json.Marshal(mustRun(t, s, id))
		must(t, err)
		b.Write(doc)
		for _, h := range heads {
			data, err := s.BlockData(t.Context(), id, 1, h.Start)
			must(t, err)
			b.Write(data)
		}
	}
	return b.String()
}

// Nothing is added to a deleted run any more, and all requests for it are refused.
func erasedRun(t *testing.T, s *store.Store) {
	ctx := t.Context()
	live := running(t, s, journal.Attempt{Job: "live"})
	var active *query.ActiveRunError
	if _, err := s.EraseRun(ctx, live.id, "mia"); !errors.As(err, &active) || active.State != job.Running {
		t.Fatalf("an active run: %v", err)
	}
	id, data := whole(t, journal.Attempt{Job: "train"}, 1, "line\n")
	one(t, s, id, 1, 0, data)
	at, err := s.EraseRun(ctx, id, "mia")
	must(t, err)
	isDeleted := func(doing string, err error) {
		t.Helper()
		var gone *query.DeletedRunError
		if !errors.As(err, &gone) || gone.Run != id || gone.By != "mia" || !gone.At.Equal(at) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	_, err = s.EraseRun(ctx, id, "noa")
	isDeleted("delete again", err)
	_, err = s.Run(ctx, id)
	isDeleted("read", err)
	_, err = s.FindRun(ctx, ref.Ref{Text: id, ID: id})
	isDeleted("find", err)
	isDeleted("append", try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: noon}).Err)
	isDeleted("append to attempt 2", try(t, s, index.Append{Run: id, Attempt: 2, Data: data, At: noon}).Err)
	isDeleted("ask for a permit", try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: noon, Permit: &index.PermitRequest{Claim: "c", Incarnation: "i"}}).Err)
	_, beats, err := s.Ingest(ctx, nil, []lease.Beat{{Run: id, Attempt: 1, At: noon, Lease: time.Minute}})
	must(t, err)
	isDeleted("heartbeat", beats[0].Err)
	_, err = s.AssignOwner(ctx, id, "token", noon)
	isDeleted("own", err)
	_, _, err = s.Submit(ctx, id, job.SubmitRequest{Job: "train", Command: &job.Spec{Args: []string{"true"}}}, "mia", true)
	isDeleted("submit", err)
	for _, table := range []string{"runs", "attempts", "blocks", "events", "run_labels", "run_owners"} {
		n, err := s.CountRows(ctx, table+` WHERE `+map[bool]string{true: "id", false: "run_id"}[table == "runs"]+` = '`+id+`'`)
		if err != nil || n != 0 {
			t.Errorf("%d rows in %s: %v", n, table, err)
		}
	}
}

// A deletion that the end of the server interrupted goes on.
func erasedAfterRestart(t *testing.T, s *store.Store) {
	id := ended(t, s, "train")
	if !s.Postgres() { // so that what follows the first transaction fails
		must(t, s.Exec(t.Context(), `CREATE TRIGGER interrupted BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'interrupted'); END`))
	} else {
		must(t, s.Exec(t.Context(), `CREATE FUNCTION interrupted() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'interrupted'; END $$ LANGUAGE plpgsql`))
		must(t, s.Exec(t.Context(), `CREATE TRIGGER interrupted BEFORE DELETE ON blocks FOR EACH ROW EXECUTE FUNCTION interrupted()`))
	}
	if _, err := s.EraseRun(t.Context(), id, "mia"); err != nil {
		t.Fatal(err)
	}
	drop := `DROP TRIGGER interrupted`
	if s.Postgres() {
		drop += ` ON blocks`
	}
	must(t, s.Exec(t.Context(), drop))
	if n, err := s.CountRows(t.Context(), "blocks"); err != nil || n == 0 {
		t.Fatalf("%d blocks before: %v", n, err)
	}
	if n, err := s.Erase(t.Context()); err != nil || n != 1 || !gone(t, s, id) {
		t.Errorf("erased %d runs: %v", n, err)
	}
	for _, table := range []string{"blocks", "attempts"} {
		if n, err := s.CountRows(t.Context(), table); err != nil || n != 0 {
			t.Errorf("%d rows in %s: %v", n, table, err)
		}
	}
}

// Every table either is written anew, or has nothing of a job.
func erasedTables(t *testing.T, s *store.Store) {
	nothing := []string{
		"audit", "deleted_runs", "due_watch", "installation", "keep_limits", "logins", "objects", "queue_groups", "queue_lanes", "queue_selectors",
		"routes", "schema_version", "sessions", "stored_bytes", "tokens", "workers", "run_texts", "stale_texts",
	}
	tables, err := s.Tables(t.Context())
	must(t, err)
	for _, table := range tables {
		if !slices.Contains(nothing, table) && !slices.Contains(erase.Tables(), table) {
			t.Errorf("the table %s is not written anew: add it to those of package erase, or here if it has nothing of a job", table)
		}
	}
}

// deletesWhilePut is an archive during whose Put a run is deleted, by another server.
type deletesWhilePut struct {
	store.Archive
	erase func()
}

func (d *deletesWhilePut) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	err := d.Archive.Put(ctx, key, r, size)
	if d.erase != nil {
		d.erase()
	}
	return err
}

// An object that is written while its run is deleted does not stay.
func TestErasedWhilePacked(t *testing.T) {
	for name, o := range map[string]func() store.Options{
		"SQLite":     func() store.Options { return store.Options{Dir: t.TempDir()} },
		"PostgreSQL": func() store.Options { return store.Options{URL: postgrestest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			a, objects := openArchive(t)
			d := &deletesWhilePut{Archive: a}
			o := o()
			o.Archive = d
			s := openWith(t, o)
			second := s
			if o.URL != "" {
				second = openWith(t, o)
			}
			id, _ := longRun(t, s, true)
			d.erase = func() {
				d.erase = nil
				if _, err := second.EraseRun(t.Context(), id, "mia"); err != nil {
					t.Error(err)
				}
			}
			tidy(t, s, noon.Add(time.Hour))
			tidy(t, second, noon.Add(time.Hour+time.Minute))
			if left := filesIn(t, objects); len(left) > 0 || d.erase != nil || !gone(t, s, id) {
				t.Errorf("objects are left: %q", left)
			}
		})
	}
}

// A rebuild does not bring back a run of which segments still have the bytes.
func TestRebuildLeavesErasedRuns(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Dir: dir}
	s, err := store.Open(t.Context(), o)
	must(t, err)
	id := ended(t, s, "train")
	_, err = s.EraseRun(t.Context(), id, "mia")
	must(t, errors.Join(err, s.Close()))
	sum, err := recovery.Rebuild(t.Context(), o, nil, func(f recovery.Finding) { t.Errorf("found: %+v", f) })
	if err != nil || sum.Runs != 0 {
		t.Fatalf("rebuilt %+v: %v", sum, err)
	}
	s = openWith(t, o)
	var deleted *query.DeletedRunError
	if _, err := s.Run(t.Context(), id); !errors.As(err, &deleted) || deleted.By != "mia" {
		t.Errorf("after the rebuild: %v", err)
	}
	if n, err := s.Erase(t.Context()); err != nil || n != 1 {
		t.Errorf("erased %d runs: %v", n, err)
	}
}
