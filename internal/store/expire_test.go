package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// A journal whose identity never arrives whole expires, a day after its last append; one
// that goes on, and one of which it is known whose it is, do not.
func unidentified(t *testing.T, s *store.Store) {
	put := func(run string, attempt int, offset int64, data []byte, at time.Time) {
		t.Helper()
		got := try(t, s, index.Append{Run: run, Attempt: attempt, Offset: offset, Data: data, At: at})
		if got.Err != nil {
			t.Fatal(got.Err)
		}
	}
	size := func(run string, attempt int) int64 {
		t.Helper()
		n, err := s.JournalSize(t.Context(), run, attempt)
		must(t, err)
		return n
	}
	known, all := begun(t, journal.Attempt{})
	put(known, 1, 0, all, noon)
	type part struct {
		run     string
		attempt int
		size    int
	}
	var parts []part
	for _, n := range []int{0, 1, journal.HeaderSize, journal.HeaderSize + 5} {
		id, data := whole(t, journal.Attempt{}, 0)
		put(id, 1, 0, data[:n], noon)
		parts = append(parts, part{id, 1, n})
	}
	again := newJournal(t, journal.Attempt{Run: known, Attempt: 2}) // of a run that there is
	put(known, 2, 0, again.buf.Bytes()[:journal.HeaderSize+5], noon)
	parts = append(parts, part{known, 2, journal.HeaderSize + 5})
	late, data := whole(t, journal.Attempt{}, 0) // its identity arrives after hours
	put(late, 1, 0, data[:20], noon)
	put(late, 1, 20, data[20:], noon.Add(20*time.Hour))
	slow, slowData := whole(t, journal.Attempt{}, 0) // more of its identity does
	put(slow, 1, 0, slowData[:20], noon)
	put(slow, 1, 20, slowData[20:21], noon.Add(20*time.Hour))

	tidy(t, s, noon.Add(24*time.Hour))
	for _, p := range parts {
		if got := size(p.run, p.attempt); got != int64(p.size) {
			t.Errorf("after a day the journal has %d bytes, want %d", got, p.size)
		}
	}
	tidy(t, s, noon.Add(24*time.Hour+time.Second))
	for _, p := range parts {
		if got := size(p.run, p.attempt); got != 0 {
			t.Errorf("a journal of %d bytes has %d after more than a day", p.size, got)
		}
	}
	if size(known, 1) != int64(len(all)) || size(late, 1) != int64(len(data)) || size(slow, 1) != 21 {
		t.Errorf("others have %d, %d and %d bytes", size(known, 1), size(late, 1), size(slow, 1))
	}
	if n, err := s.CountRows(t.Context(), "attempts"); err != nil || n != 3 {
		t.Errorf("%d attempts are left, %v; want those of 3 others", n, err)
	}
	tidy(t, s, noon.Add(44*time.Hour+time.Second))
	var offset *index.OffsetError
	got := try(t, s, index.Append{Run: slow, Attempt: 1, Offset: 21, Data: slowData[21:], At: noon})
	if !errors.As(got.Err, &offset) || offset.Size != 0 {
		t.Errorf("an agent that comes back is answered %+v, want a size of 0", got)
	}
	put(slow, 1, 0, slowData, noon)
	if run := mustRun(t, s, slow); run.State != job.Succeeded {
		t.Errorf("the journal that came again from its beginning: %s", run.State)
	}
}

// However many rows have expired, they go.
func manyExpired(t *testing.T, s *store.Store) {
	const n = 1200 // more than two transactions delete
	for i := range n {
		must(t, s.BeginLogin(t.Context(), access.Login{Hash: fmt.Append(nil, i), ExpiresAt: noon}, noon))
	}
	live := access.Login{Hash: []byte("live"), ExpiresAt: noon.Add(time.Hour)}
	must(t, s.BeginLogin(t.Context(), live, noon))
	for i := range n {
		if _, err := s.AssignOwner(t.Context(), fmt.Sprint("run-", i), "token", noon); err != nil {
			t.Fatal(err)
		}
	}
	must(t, s.SweepAccess(t.Context(), noon.Add(time.Second)))
	if left, err := s.CountRows(t.Context(), "logins"); err != nil || left != 1 {
		t.Errorf("%d logins are left, %v; want the one that has not expired", left, err)
	}
	must(t, s.SweepAccess(t.Context(), noon.Add(25*time.Hour)))
	if left, err := s.CountRows(t.Context(), "run_owners"); err != nil || left != 0 {
		t.Errorf("%d owners are left, %v", left, err)
	}
}

// A token that has expired is listed for three months, and then deleted.
func expiredTokens(t *testing.T, s *store.Store) {
	ends := noon.Add(time.Hour)
	must(t, s.CreateToken(t.Context(), access.Token{ID: "a", Name: "for an hour", Scope: "read", Prefix: "a", Hash: []byte("a"), CreatedAt: noon, ExpiresAt: &ends}))
	must(t, s.CreateToken(t.Context(), access.Token{ID: "b", Name: "for ever", Scope: "read", Prefix: "b", Hash: []byte("b"), CreatedAt: noon}))
	must(t, s.SweepAccess(t.Context(), ends.Add(90*24*time.Hour)))
	if n, err := s.CountRows(t.Context(), "tokens"); err != nil || n != 2 {
		t.Errorf("%d tokens are left after 90 days, %v", n, err)
	}
	must(t, s.SweepAccess(t.Context(), ends.Add(90*24*time.Hour+time.Second)))
	if all, err := s.Tokens(t.Context()); err != nil || len(all) != 1 || all[0].ID != "b" {
		t.Errorf("left are %+v, %v", all, err)
	}
}
