package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/internal/store/secretkey"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// onBothKeyed runs a test on both databases, with a key file that is not made yet.
func onBothKeyed(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Run("SQLite", func(t *testing.T) {
		dir := t.TempDir()
		test(t, store.Options{Dir: dir, SecretKeyFile: filepath.Join(dir, "secret.key")})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, store.Options{URL: postgrestest.URL(t), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")})
	})
}

// during opens a store for a function.
func during(t *testing.T, o store.Options, do func(s *store.Store)) {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, s.Close()) }()
	do(s)
}

func secretRoute(name string) api.Route {
	return api.Route{
		Name: name, URL: "https://hooks.example.org/T0/" + name + "/S3cretPath", Secret: "whsec_c2VjcmV0", Enabled: true, ChangedAt: noon,
		Match: api.RouteMatch{Job: "nightly-*"},
	}
}

func wantRoute(t *testing.T, s *store.Store, want api.Route) {
	t.Helper()
	got, err := s.Route(t.Context(), want.Name)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("route (-want +got): %v\n%s", err, diff)
	}
}

// wantBroken checks that a route is there, without its secrets and with the reason.
func wantBroken(t *testing.T, s *store.Store, name, why string) {
	t.Helper()
	got, err := s.Route(t.Context(), name)
	if err != nil || got.URL != "" || got.Secret != "" || got.Match.Job != "nightly-*" || !strings.Contains(got.Error, why) {
		t.Errorf("route %+v, %v: does not say %q", got, err, why)
	}
	all, err := s.Deliveries(t.Context())
	i := slices.IndexFunc(all, func(d outbox.Delivery) bool { return d.Route.Name == name })
	if err != nil || i < 0 || all[i].Route.Error != got.Error || all[i].Route.URL != "" || all[i].Route.Secret != "" {
		t.Errorf("deliveries %+v, %v", all, err)
	}
}

// troubledNow lists the troubled items, as KIND ID.
func troubledNow(t *testing.T, s *store.Store) []string {
	t.Helper()
	items, err := s.Troubled(t.Context(), 100)
	must(t, err)
	out := []string{}
	for _, item := range items {
		out = append(out, item.Kind+" "+item.ID)
	}
	slices.Sort(out)
	return out
}

// routeRow returns what the row of a route holds.
func routeRow(t *testing.T, s *store.Store, name string) (doc, secret string) {
	t.Helper()
	doc, secret, err := s.StoredRoute(t.Context(), name)
	must(t, err)
	return doc, secret
}

func hostName(t *testing.T) string {
	t.Helper()
	host, err := os.Hostname()
	must(t, err)
	return host
}

// Any route comes back as it was set, also after a restart, and its row shows no secret of it.
func TestRouteSecretsRoundTrip(t *testing.T) {
	onBothKeyed(t, func(t *testing.T, o store.Options) {
		set := map[string]api.Route{}
		during(t, o, func(s *store.Store) {
			rapid.Check(t, func(rt *rapid.T) {
				r := api.Route{
					Name: rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`).Draw(rt, "name"), ChangedAt: noon,
					URL:    "x" + strings.ReplaceAll(rapid.StringN(0, 2000, 4000).Draw(rt, "url"), "\x00", ""),
					Secret: rapid.StringMatching(`(whsec_[A-Za-z0-9+/=]{8,40})?`).Draw(rt, "secret"),
				}
				must(t, s.SetRoute(t.Context(), r))
				got, err := s.Route(t.Context(), r.Name)
				if diff := cmp.Diff(r, got); err != nil || diff != "" {
					rt.Fatal(err, diff)
				}
				doc, secret := routeRow(t, s, r.Name)
				if len(r.URL) > 20 && strings.Contains(doc+secret, r.URL) || r.Secret != "" && strings.Contains(doc+secret, r.Secret) {
					rt.Fatalf("the row shows a secret: %s %s", doc, secret)
				}
				set[r.Name] = r
			})
		})
		during(t, o, func(s *store.Store) {
			for _, r := range set {
				wantRoute(t, s, r)
			}
			if got := troubledNow(t, s); len(got) > 0 {
				t.Errorf("troubled: %q", got)
			}
		})
	})
}

// A text that is copied into another row, or damaged, gives nobody's secrets; the route is
// there, is troubled, and can be set again. Others go on.
func TestSwappedAndDamagedRouteSecrets(t *testing.T) {
	onBothKeyed(t, func(t *testing.T, o store.Options) {
		during(t, o, func(s *store.Store) {
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				must(t, s.SetRoute(t.Context(), secretRoute(name)))
			}
			_, a := routeRow(t, s, "a")
			_, b := routeRow(t, s, "b")
			_, c := routeRow(t, s, "c")
			must(t, s.Exec(t.Context(), `UPDATE routes SET secret = $1 WHERE name = 'b'`, a))
			must(t, s.Exec(t.Context(), `UPDATE routes SET secret = $1 WHERE name = 'a'`, b))
			must(t, s.Exec(t.Context(), `UPDATE routes SET secret = $1 WHERE name = 'c'`, c[:len(c)-2]))
			must(t, s.Exec(t.Context(), `UPDATE routes SET secret = 'aes256gcm:' WHERE name = 'd'`))
		})
		during(t, o, func(s *store.Store) {
			for _, name := range []string{"a", "b", "c", "d"} {
				wantBroken(t, s, name, "damaged, or belongs to another row; set the route again")
			}
			wantRoute(t, s, secretRoute("e"))
			if got, want := troubledNow(t, s), []string{"route a", "route b", "route c", "route d"}; !slices.Equal(got, want) {
				t.Errorf("troubled: %q, want %q", got, want)
			}
			for _, name := range []string{"a", "b", "c", "d"} {
				must(t, s.SetRoute(t.Context(), secretRoute(name)))
				wantRoute(t, s, secretRoute(name))
			}
			if _, err := s.Deliveries(t.Context()); err != nil {
				t.Error(err)
			}
			if got := troubledNow(t, s); len(got) > 0 {
				t.Errorf("troubled after they were set again: %q", got)
			}
		})
	})
}

// With a data directory a lost key is made anew. What it encrypted waits, can be set again, and
// comes back when the key does.
func TestLostKeyOfADataDirectory(t *testing.T) {
	dir := t.TempDir()
	var logged bytes.Buffer
	o := store.Options{Dir: dir, SecretKeyFile: filepath.Join(dir, "secret.key"), Log: slog.New(slog.NewTextHandler(&logged, nil))}
	during(t, o, func(s *store.Store) {
		must(t, s.SetRoute(t.Context(), secretRoute("a")))
		must(t, s.SetRoute(t.Context(), secretRoute("b")))
	})
	old, err := os.ReadFile(o.SecretKeyFile)
	must(t, err)
	must(t, os.Remove(o.SecretKeyFile))
	during(t, o, func(s *store.Store) {
		if !strings.Contains(logged.String(), "the key of notification routes is gone") {
			t.Errorf("the log says %q", logged.String())
		}
		if got, want := troubledNow(t, s), []string{"route a", "route b"}; !slices.Equal(got, want) {
			t.Errorf("troubled: %q, want %q", got, want)
		}
		wantBroken(t, s, "a", o.SecretKeyFile)
		wantBroken(t, s, "b", "or set the route again")
		id, data := whole(t, journal.Attempt{}, 0) // the rest of the server works
		one(t, s, id, 1, 0, data)
		must(t, s.SetRoute(t.Context(), secretRoute("b")))
		wantRoute(t, s, secretRoute("b"))
		// The old key is found, and put into the file while the server runs.
		now, err := os.ReadFile(o.SecretKeyFile)
		must(t, err)
		must(t, os.WriteFile(o.SecretKeyFile, slices.Concat(now, old), 0o600))
		wantRoute(t, s, secretRoute("a"))
		wantRoute(t, s, secretRoute("b"))
		must(t, s.SetRoute(t.Context(), secretRoute("c")))
	})
	during(t, o, func(s *store.Store) {
		for _, name := range []string{"a", "b", "c"} {
			wantRoute(t, s, secretRoute(name))
		}
		if _, secret := routeRow(t, s, "a"); secret != "" {
			id, _ := secretkey.Encrypted(secret)
			if keys, err := secretkey.Read(o.SecretKeyFile); err != nil || keys[0].ID() != id {
				t.Errorf("route a is not encrypted with the newest key: %v", err)
			}
		}
		if got := troubledNow(t, s); len(got) > 0 {
			t.Errorf("troubled: %q", got)
		}
	})
}

// A server on PostgreSQL whose key is not the one that others encrypt with changes nothing, says
// so, and works otherwise. It goes on once it has the key.
func TestWrongKeyOnPostgreSQL(t *testing.T) {
	url := postgrestest.URL(t)
	right, wrong, none := filepath.Join(t.TempDir(), "k"), filepath.Join(t.TempDir(), "k"), filepath.Join(t.TempDir(), "k")
	_, _, err := secretkey.Make(wrong)
	must(t, err)
	a := openWith(t, store.Options{URL: url, SecretKeyFile: right})
	must(t, a.SetRoute(t.Context(), secretRoute("a")))
	for name, file := range map[string]string{"another key": wrong, "no key": none} {
		t.Run(name, func(t *testing.T) {
			now := noon
			before, _ := os.ReadFile(file)
			b, err := store.Open(t.Context(), store.Options{URL: url, SecretKeyFile: file, Now: func() time.Time { return now }})
			must(t, err)
			defer func() { must(t, b.Close()) }()
			if got, want := troubledNow(t, b), []string{"secret_key " + hostName(t)}; !slices.Equal(got, want) {
				t.Errorf("troubled: %q, want %q", got, want)
			}
			wantBroken(t, b, "a", file)
			var noKey *outbox.SecretKeyError
			if err := b.SetRoute(t.Context(), secretRoute("a")); !errors.As(err, &noKey) || !strings.Contains(err.Error(), "stint server rotate-key") || !strings.Contains(err.Error(), file) {
				t.Errorf("set with the wrong key: %v", err)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Error("the key file was changed")
			}
			id, data := whole(t, journal.Attempt{}, 0)
			one(t, b, id, 1, 0, data)
			must(t, b.DeleteRun(t.Context(), id))
			wantRoute(t, a, secretRoute("a")) // the other server is not disturbed

			text, err := os.ReadFile(right)
			must(t, err)
			must(t, os.WriteFile(file, text, 0o600))
			must(t, os.Chmod(file, 0o644)) // by a careless copy, which is seen to
			wantBroken(t, b, "a", "chmod 600 "+file)
			must(t, os.Chmod(file, 0o600))
			wantRoute(t, b, secretRoute("a"))
			must(t, b.SetRoute(t.Context(), secretRoute("b")))
			wantRoute(t, a, secretRoute("b"))
			must(t, b.CheckSecretKey(t.Context()))
			if got := troubledNow(t, b); len(got) > 0 {
				t.Errorf("troubled with the right key: %q", got)
			}
		})
	}
}

// Of servers that start at once on an empty database one decides the key. None keeps a key file
// that could be taken for it.
func TestServersStartAtOnce(t *testing.T) {
	url := postgrestest.URL(t)
	shared := filepath.Join(t.TempDir(), "secret.key")
	files := []string{shared, shared, filepath.Join(t.TempDir(), "secret.key"), filepath.Join(t.TempDir(), "secret.key")}
	stores := make([]*store.Store, len(files))
	var all sync.WaitGroup
	for i, file := range files {
		all.Go(func() {
			var err error
			if stores[i], err = store.Open(t.Context(), store.Options{URL: url, SecretKeyFile: file}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	winner := ""
	for i, s := range stores {
		err := s.SetRoute(t.Context(), secretRoute(fmt.Sprint(i)))
		var noKey *outbox.SecretKeyError
		switch {
		case err == nil && (winner == "" || winner == files[i]):
			winner = files[i]
		case err == nil:
			t.Errorf("%s and %s are both in use", winner, files[i])
		case !errors.As(err, &noKey):
			t.Error(err)
		}
	}
	for i, s := range stores {
		keys, err := secretkey.Read(files[i])
		if files[i] == winner && (err != nil || len(keys) != 1) || files[i] != winner && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, winner %s: %d keys, %v", files[i], winner, len(keys), err)
		}
		must(t, s.Close())
	}
	if winner == "" {
		t.Error("no server has a key")
	}
}

// A file that cannot be the right one, or that others may read, is an error at the start: it is
// neither replaced nor ignored.
func TestBadKeyFileIsRefused(t *testing.T) {
	onBothKeyed(t, func(t *testing.T, o store.Options) {
		o.SecretKeyFile = filepath.Join(t.TempDir(), "k") // a data directory closes its own
		during(t, o, func(s *store.Store) { must(t, s.SetRoute(t.Context(), secretRoute("a"))) })
		good, err := os.ReadFile(o.SecretKeyFile)
		must(t, err)
		for name, c := range map[string]struct {
			text []byte
			mode os.FileMode
		}{
			"for all": {good, 0o644}, "empty": {nil, 0o600}, "cut off": {good[:len(good)-5], 0o600},
			"too large": {bytes.Repeat(good, 1000), 0o600}, "other": {[]byte("password\n"), 0o600},
		} {
			must(t, os.WriteFile(o.SecretKeyFile, c.text, 0o600))
			must(t, os.Chmod(o.SecretKeyFile, c.mode))
			s, err := store.Open(t.Context(), o)
			if err == nil {
				t.Errorf("%s: was used", name)
				must(t, s.Close())
			} else if !strings.Contains(err.Error(), o.SecretKeyFile) {
				t.Errorf("%s: the error does not name the file: %v", name, err)
			}
			if after, err := os.ReadFile(o.SecretKeyFile); err != nil || !bytes.Equal(after, c.text) {
				t.Errorf("%s: the file was changed: %v", name, err)
			}
		}
		must(t, os.WriteFile(o.SecretKeyFile, good, 0o600))
		must(t, os.Chmod(o.SecretKeyFile, 0o600))
		during(t, o, func(s *store.Store) { wantRoute(t, s, secretRoute("a")) })
	})
}
