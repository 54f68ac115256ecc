package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/internal/store/secretkey"
	"stint.dev/stint/job/api"
)

// clearMark is in every secret that these tests store in clear.
const clearMark = "S3cretInClear"

// clearRoute is a route with secrets that the tests look for. A long one needs pages of its own.
func clearRoute(n, length int) api.Route {
	r := secretRoute(fmt.Sprintf("r%d", n))
	r.URL = "https://hooks.example.org/" + clearMark + strings.Repeat("u", length)
	r.Secret = "whsec_" + clearMark
	return r
}

// storeInClear stores a route as versions before the encryption did.
func storeInClear(t *testing.T, s *store.Store, r api.Route) {
	t.Helper()
	secret := r.Secret
	r.Secret = ""
	doc, err := json.Marshal(r)
	must(t, err)
	must(t, s.Exec(t.Context(), `INSERT INTO routes (name, doc, secret, events, changed_at, reserved_by, reserved_until) VALUES ($1, $2, $3, ',,', 0, '', 0)
		ON CONFLICT (name) DO UPDATE SET doc = excluded.doc, secret = excluded.secret`, r.Name, string(doc), secret))
}

// oldRoutes stores many routes in clear, and changes and deletes most of them.
func oldRoutes(t *testing.T, s *store.Store) (left []api.Route) {
	t.Helper()
	for n := range 60 {
		storeInClear(t, s, clearRoute(n, 3900))
		storeInClear(t, s, clearRoute(n, n))
	}
	must(t, s.Exec(t.Context(), `DELETE FROM routes WHERE name NOT IN ('r1', 'r2', 'r3')`))
	storeInClear(t, s, clearRoute(2, 3900))
	return []api.Route{clearRoute(1, 1), clearRoute(2, 3900), clearRoute(3, 3)}
}

// filesWith lists the files below a directory that hold a text.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // PostgreSQL deletes caches of its own meanwhile
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	must(t, err)
	return found
}

// The first start with a key leaves no byte of a secret in the files of the database, whatever
// an older version had stored, changed and deleted, and none gets into a backup.
func TestClearSecretsLeaveTheFiles(t *testing.T) {
	old, dir, backup := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "backup")
	before := openWith(t, store.Options{Dir: old})
	left := oldRoutes(t, before)
	must(t, os.CopyFS(dir, os.DirFS(old))) // as if it was killed now
	if found := filesWith(t, dir, clearMark); len(found) < 1 {
		t.Fatalf("the test looks in vain: %q", found)
	}
	o := store.Options{Dir: dir, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}
	check := func() {
		t.Helper()
		for _, where := range []string{dir, backup} {
			if _, err := os.Stat(where); err != nil {
				continue
			}
			if found := filesWith(t, where, clearMark); len(found) > 0 {
				t.Errorf("secrets are in clear in %q", found)
			}
		}
	}
	during(t, o, func(s *store.Store) {
		check()
		for _, r := range left {
			wantRoute(t, s, r)
		}
		must(t, s.SetRoute(t.Context(), clearRoute(1, 100)))
		must(t, recovery.Backup(t.Context(), s, backup, nil))
		check()
	})
	check()
	// The key is not in the backup. A server that has it reads the routes of the backup.
	o.Dir = backup
	during(t, o, func(s *store.Store) { wantRoute(t, s, clearRoute(1, 100)) })
	check()
}

// PostgreSQL keeps no row with a secret in the files of the database.
func TestClearSecretsLeavePostgreSQL(t *testing.T) {
	o := store.Options{URL: postgrestest.URL(t), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}
	var dir string
	var left []api.Route
	during(t, store.Options{URL: o.URL}, func(s *store.Store) {
		left = oldRoutes(t, s)
		must(t, s.Exec(t.Context(), `CHECKPOINT`))
		var err error
		dir, err = s.PostgresFiles(t.Context())
		must(t, err)
		if found := filesWith(t, dir, clearMark); len(found) < 1 {
			t.Fatalf("the test looks in vain: %q", found)
		}
	})
	during(t, o, func(s *store.Store) {
		must(t, s.Exec(t.Context(), `CHECKPOINT`))
		if found := filesWith(t, dir, clearMark); len(found) > 0 {
			t.Errorf("secrets are in clear in %q", found)
		}
		for _, r := range left {
			wantRoute(t, s, r)
		}
	})
}

// All routes are encrypted, or none: what fails is tried again by the next start.
func TestEncryptionIsOneTransaction(t *testing.T) {
	onBothKeyed(t, func(t *testing.T, o store.Options) {
		old := o
		old.SecretKeyFile = ""
		during(t, old, func(s *store.Store) {
			for n := range 3 {
				storeInClear(t, s, clearRoute(n, 10))
			}
			if s.Postgres() {
				must(t, s.Exec(t.Context(), `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$`))
				must(t, s.Exec(t.Context(), `CREATE TRIGGER refused BEFORE UPDATE ON routes FOR EACH ROW WHEN (OLD.name = 'r2') EXECUTE FUNCTION refuse()`))
			} else {
				must(t, s.Exec(t.Context(), `CREATE TRIGGER refused BEFORE UPDATE ON routes WHEN old.name = 'r2' BEGIN SELECT RAISE(ABORT, 'not now'); END`))
			}
		})
		if s, err := store.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not now") {
			t.Errorf("opened: %v", err)
			must(t, s.Close())
		}
		during(t, old, func(s *store.Store) {
			for n := range 3 {
				if doc, secret := routeRow(t, s, fmt.Sprint("r", n)); !strings.Contains(doc, clearMark) || secret != "whsec_"+clearMark {
					t.Errorf("r%d: %s %s", n, doc, secret)
				}
				wantRoute(t, s, clearRoute(n, 10)) // readable all the same
			}
			if s.Postgres() {
				must(t, s.Exec(t.Context(), `DROP TRIGGER refused ON routes`))
			} else {
				must(t, s.Exec(t.Context(), `DROP TRIGGER refused`))
			}
		})
		during(t, o, func(s *store.Store) {
			for n := range 3 {
				if doc, secret := routeRow(t, s, fmt.Sprint("r", n)); strings.Contains(doc+secret, clearMark) {
					t.Errorf("r%d: %s %s", n, doc, secret)
				}
				wantRoute(t, s, clearRoute(n, 10))
			}
		})
	})
}

// A new key encrypts everything, the old one stays for what it encrypted before, and when nobody
// needs it any more its line can go.
func TestRotateSecretKey(t *testing.T) {
	onBothKeyed(t, func(t *testing.T, o store.Options) {
		during(t, o, func(s *store.Store) { must(t, s.SetRoute(t.Context(), secretRoute("a"))) })
		beside := o
		beside.SecretKeyFile = ""
		var rowBefore string
		during(t, beside, func(s *store.Store) {
			_, rowBefore = routeRow(t, s, "a")
			left, err := s.RotateSecretKey(t.Context(), o.SecretKeyFile)
			if err != nil || len(left) > 0 {
				t.Errorf("left %q, %v", left, err)
			}
			wantRoute(t, s, secretRoute("a"))
		})
		keys, err := secretkey.Read(o.SecretKeyFile)
		must(t, err)
		if len(keys) != 2 {
			t.Fatalf("%d keys", len(keys))
		}
		during(t, o, func(s *store.Store) {
			_, row := routeRow(t, s, "a")
			if id, _ := secretkey.Encrypted(row); id != keys[0].ID() {
				t.Errorf("encrypted with %s", id)
			}
			if id, _ := secretkey.Encrypted(rowBefore); id != keys[1].ID() {
				t.Errorf("was encrypted with %s", id)
			}
		})
		text, err := os.ReadFile(o.SecretKeyFile)
		must(t, err)
		first := bytes.TrimSuffix(text, bytes.SplitAfter(text, []byte("\n"))[bytes.Count(text, []byte("\n"))-1])
		must(t, os.WriteFile(o.SecretKeyFile, first, 0o600))
		during(t, o, func(s *store.Store) {
			wantRoute(t, s, secretRoute("a"))
			must(t, s.SetRoute(t.Context(), secretRoute("b")))
			wantRoute(t, s, secretRoute("b"))
		})
	})
}

// Servers on PostgreSQL go on while a key is rotated, as soon as they have the file.
func TestRotateSecretKeyBesideServers(t *testing.T) {
	o := store.Options{URL: postgrestest.URL(t), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}
	server := openWith(t, o)
	must(t, server.SetRoute(t.Context(), secretRoute("a")))
	during(t, store.Options{URL: o.URL, Beside: true}, func(s *store.Store) {
		_, err := s.RotateSecretKey(t.Context(), o.SecretKeyFile)
		must(t, err)
	})
	wantRoute(t, server, secretRoute("a"))
	must(t, server.SetRoute(t.Context(), secretRoute("b")))
	_, row := routeRow(t, server, "b")
	keys, err := secretkey.Read(o.SecretKeyFile)
	must(t, err)
	if id, _ := secretkey.Encrypted(row); id != keys[0].ID() {
		t.Errorf("the server still encrypts with %s", id)
	}
	// With the key lost on every host, it is given up, and routes are set again.
	must(t, os.Remove(o.SecretKeyFile))
	during(t, store.Options{URL: o.URL, Beside: true}, func(s *store.Store) {
		left, err := s.RotateSecretKey(t.Context(), o.SecretKeyFile)
		if err != nil || strings.Join(left, " ") != "a b" {
			t.Errorf("left %q, %v", left, err)
		}
	})
	again := openWith(t, o)
	wantBroken(t, again, "a", "or set the route again")
	must(t, again.SetRoute(t.Context(), secretRoute("a")))
	wantRoute(t, again, secretRoute("a"))
	wantRoute(t, server, secretRoute("a"))
}
