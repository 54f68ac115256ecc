package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/journal"
)

func sessions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	tok := access.Token{ID: "t1", Name: "ada", Scope: "write", Prefix: "stint_x", Hash: []byte("h1"), CreatedAt: noon}
	ends := noon.Add(2 * time.Hour)
	tok.ExpiresAt = &ends
	must(t, s.CreateToken(ctx, tok))
	want := access.Session{
		Hash: []byte("s1"), Who: "ada", Scope: "write", Via: "token", Token: "t1",
		CreatedAt: noon, ExpiresAt: noon.Add(24 * time.Hour), UsedAt: noon,
	}
	must(t, s.CreateSession(ctx, want))
	got, err := s.SessionByHash(ctx, want.Hash)
	must(t, err)
	want.ExpiresAt = ends // not longer than the token it came from
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	later := noon.Add(time.Minute)
	must(t, s.TouchSession(ctx, want.Hash, later, noon.Add(time.Hour)))
	if got, err = s.SessionByHash(ctx, want.Hash); err != nil || !got.UsedAt.Equal(later) || !got.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("after a touch: %+v, %v", got, err)
	}
	var notFound *query.NotFoundError
	must(t, s.RevokeToken(ctx, "t1"))
	if _, err := s.SessionByHash(ctx, want.Hash); !errors.As(err, &notFound) {
		t.Errorf("a session outlived its token: %v", err)
	}
	person := access.Session{Hash: []byte("s2"), Who: "ada@example.org", Scope: "read", Via: "oidc", Identity: `{"email":"ada@example.org"}`, CreatedAt: noon, ExpiresAt: ends, UsedAt: noon}
	must(t, s.CreateSession(ctx, person))
	if got, err = s.SessionByHash(ctx, person.Hash); err != nil || got.Who != person.Who || got.Identity != person.Identity {
		t.Errorf("session without a token: %+v, %v", got, err)
	}
	must(t, s.EndSession(ctx, person.Hash))
	must(t, s.EndSession(ctx, person.Hash)) // it has ended already
	if _, err := s.SessionByHash(ctx, person.Hash); !errors.As(err, &notFound) {
		t.Errorf("the session goes on after its end: %v", err)
	}
}

func logins(t *testing.T, s *store.Store) {
	ctx := t.Context()
	l := access.Login{Hash: []byte("state"), ReturnTo: "/runs/1", ExpiresAt: noon.Add(time.Minute)}
	must(t, s.BeginLogin(ctx, l, noon))
	got, err := s.TakeLogin(ctx, l.Hash, noon)
	must(t, err)
	if diff := cmp.Diff(l, got); diff != "" {
		t.Errorf("login (-want +got):\n%s", diff)
	}
	var notFound *query.NotFoundError
	if _, err := s.TakeLogin(ctx, l.Hash, noon); !errors.As(err, &notFound) {
		t.Errorf("a login counted twice: %v", err)
	}
	must(t, s.BeginLogin(ctx, l, noon))
	if _, err := s.TakeLogin(ctx, l.Hash, l.ExpiresAt); !errors.As(err, &notFound) {
		t.Errorf("an expired login counted: %v", err)
	}
}

// Anybody may bring a session or login that there is not: it takes no turn of the connection
// that writes, of which SQLite has one.
func TestUnknownSecretsDoNotWrite(t *testing.T) {
	s := openSQLite(t)
	release, err := s.HoldWriter(t.Context())
	must(t, err)
	defer release() //nolint:errcheck // the end of the test
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, s.EndSession(ctx, []byte("unknown")))
	var missing *query.NotFoundError
	if _, err := s.TakeLogin(ctx, []byte("unknown"), noon); !errors.As(err, &missing) {
		t.Errorf("a login: %v", err)
	}
	if _, err := s.SessionByHash(ctx, []byte("unknown")); !errors.As(err, &missing) {
		t.Errorf("a session: %v", err)
	}
	if _, err := s.TokenByHash(ctx, []byte("unknown")); !errors.As(err, &missing) {
		t.Errorf("a token: %v", err)
	}
}

// Logins that expired go with those that begin, so that there are never many.
func loginsGo(t *testing.T, s *store.Store) {
	for i := range 100 {
		at := noon.Add(time.Duration(i) * time.Minute)
		must(t, s.BeginLogin(t.Context(), access.Login{Hash: fmt.Append(nil, i), ExpiresAt: at.Add(10 * time.Minute)}, at))
		if n, err := s.CountRows(t.Context(), "logins"); err != nil || n > 12 {
			t.Fatalf("%d logins after %d minutes, %v; each lasts for 10", n, i, err)
		}
	}
}

func auditLog(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 5 {
		must(t, s.Audit(ctx, access.AuditEntry{
			At: noon.Add(time.Duration(i) * time.Second), Who: "ada", Via: "session", Address: "::1",
			Action: "POST /api/v1/runs/{run}/cancel", Target: "/x\x1b[2J", Status: 200 + i,
		}))
	}
	first, err := s.AuditLog(ctx, query.Audit{Limit: 3})
	must(t, err)
	if len(first) != 3 || first[0].Status != 204 || first[2].Status != 202 {
		t.Fatalf("first page: %+v", first)
	}
	rest, err := s.AuditLog(ctx, query.Audit{Before: first[2].ID, Limit: 3})
	must(t, err)
	if len(rest) != 2 || rest[1].Status != 200 || !rest[1].At.Equal(noon) {
		t.Fatalf("second page: %+v", rest)
	}
	must(t, s.Audit(ctx, access.AuditEntry{At: noon.Add(5 * time.Second), Who: "ci", Action: "PUT /api/v1/jobs/{job}/policy", Target: "/api/v1/jobs/100%_a", Status: 200, Detail: "Version 7"}))
	for name, q := range map[string]query.Audit{
		"ci": {Who: "ci"}, "target": {Text: "100%_A"}, "detail": {Text: "version"}, "since": {Since: noon.Add(5 * time.Second)}, "all": {Who: "ci", Text: "7", Since: noon, Until: noon.Add(time.Hour)},
	} {
		q.Limit = 10
		if found, err := s.AuditLog(ctx, q); err != nil || len(found) != 1 || found[0].Who != "ci" {
			t.Errorf("%s: %+v, %v; want the change by ci", name, found, err)
		}
	}
	for name, q := range map[string]query.Audit{"who": {Who: "c"}, "pattern": {Text: "100__a"}, "until": {Until: noon}} {
		q.Limit = 10
		if found, err := s.AuditLog(ctx, q); err != nil || len(found) != 0 {
			t.Errorf("%s: %+v, %v; want nothing", name, found, err)
		}
	}
	must(t, s.SweepAccess(ctx, noon.AddDate(0, 0, 400).Add(2*time.Second)))
	if left, err := s.AuditLog(ctx, query.Audit{Limit: 10}); err != nil || len(left) != 4 {
		t.Errorf("after 400 days: %d entries, %v; want the 4 that are younger", len(left), err)
	}
}

func owners(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ends := noon.Add(time.Hour)
	for _, id := range []string{"a", "b"} {
		tok := access.Token{ID: id, Name: id, Scope: "agent", Prefix: id, Hash: []byte(id), CreatedAt: noon}
		if id == "a" {
			tok.ExpiresAt = &ends
		}
		must(t, s.CreateToken(ctx, tok))
	}
	assign := func(run, token string, at time.Time, want string) {
		t.Helper()
		if got, err := s.AssignOwner(ctx, run, token, at); err != nil || got != want {
			t.Errorf("%s claims %s: owner %q, %v; want %s", token, run, got, err, want)
		}
	}
	assign("r1", "a", noon, "a")
	assign("r1", "b", noon, "a")
	assign("r1", "a", noon, "a")
	assign("r1", "b", ends, "b") // a has expired
	assign("r2", "b", noon, "b")
	must(t, s.RevokeToken(ctx, "b"))
	assign("r2", "a", noon, "a")
	must(t, s.SweepAccess(ctx, noon.Add(25*time.Hour+time.Minute)))
	assign("r1", "a", noon, "a") // forgotten, as there is no such run

	// A run that was begun without an owner gets none.
	j := newJournal(t, journal.Attempt{Job: "nightly"})
	one(t, s, j.id, 1, 0, j.buf.Bytes())
	assign(j.id, "a", noon, "")
	assign(j.id, "a", noon, "")
	owned := newJournal(t, journal.Attempt{Job: "nightly"})
	assign(owned.id, "a", noon, "a")
	one(t, s, owned.id, 1, 0, owned.buf.Bytes())
	assign(owned.id, "a", noon, "a")
	if a, b := leaseOf(t, s, j.id), leaseOf(t, s, owned.id); a.Owner != "" || b.Owner != "a" {
		t.Errorf("owners in leases: %q and %q", a.Owner, b.Owner)
	}
	invalid := func(when time.Time, run string, want bool) {
		t.Helper()
		s.SetClock(func() time.Time { return when })
		if got, err := s.OwnerInvalid(ctx, run); err != nil || got != want {
			t.Errorf("at %s the owner of %s is invalid: %t, %v", when, run, got, err)
		}
	}
	invalid(noon, owned.id, false)
	invalid(ends, owned.id, true)
	invalid(ends, j.id, false)
	must(t, s.RevokeToken(ctx, "a"))
	invalid(noon, owned.id, true)
	if active, err := s.ActiveRuns(ctx); err != nil || active[""] != 1 || active["a"] != 1 || len(active) != 2 {
		t.Errorf("active runs of each owner: %v, %v", active, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func figures(t *testing.T, s *store.Store) {
	f, err := s.Figures(t.Context(), noon)
	must(t, err)
	if len(f.Active) != 0 || f.OutboxPending != 0 || f.OutboxOldest != 0 || f.DatabaseConnections == 0 {
		t.Errorf("an empty store: %+v", f)
	}
	j := newJournal(t, journal.Attempt{Job: "nightly"})
	one(t, s, j.id, 1, 0, j.buf.Bytes())
	if f, err = s.Figures(t.Context(), noon); err != nil || len(f.Active) != 1 || f.Active[0].Runs != 1 || f.Active[0].Health != "healthy" {
		t.Errorf("one active run: %+v, %v", f, err)
	}
}
