package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// The token of an attempt is good for the journal and the heartbeats of that attempt, and that of a claim
// for the question for its permit.
func TestTokensOfAttemptsAndClaims(t *testing.T) {
	l := start(t, server.Config{RequireToken: true})
	s, other := newSketch(t, "report", nil), newSketch(t, "report", nil)
	key, incarnation := l.store.TokenKey(), strings.Repeat("0a", 16)
	token := access.AttemptToken(key, s.id, 1, incarnation)
	bearer := []string{"Authorization", "Bearer " + token}
	data := s.command().bytes()
	l.do("POST", journalPath(s.id, 1, 0), data, bearer...).ok(t, nil)
	l.do("POST", "/api/v1/runs/"+s.id+"/attempts/1/heartbeat", []byte(`{}`), bearer...).ok(t, nil)
	l.get("/api/v1/runs/"+s.id+"/attempts/1/journal/rest?offset=0", bearer...).ok(t, nil)
	l.do("POST", journalPath(s.id, 2, 0), data, bearer...).problem(t, http.StatusUnauthorized)
	l.do("POST", journalPath(other.id, 1, 0), data, bearer...).problem(t, http.StatusUnauthorized)
	l.get("/api/v1/runs/"+s.id, bearer...).problem(t, http.StatusForbidden)
	l.get("/api/v1/runs", bearer...).problem(t, http.StatusForbidden)
	l.do("PUT", "/compat/report/status", []byte(`{}`), bearer...).problem(t, http.StatusForbidden)
	l.do("POST", journalPath(s.id, 1, 0), data, "Authorization", "Bearer "+access.AttemptToken([]byte("another key"), s.id, 1, incarnation)).problem(t, http.StatusUnauthorized)

	claim := access.ClaimToken(key, "0199aaaa-0000-7000-8000-000000000001")
	asks := func(token, incarnation string) []string {
		return []string{job.HeaderClaim, token, job.HeaderIncarnation, incarnation}
	}
	identity := newSketch(t, "report", nil).bytes()
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"a forged token":         {"POST", journalPath(other.id, 1, 0), asks(access.ClaimToken([]byte("another key"), "0199aaaa-0000-7000-8000-000000000001"), incarnation), 401},
		"no token of a claim":    {"POST", journalPath(other.id, 1, 0), asks("x", incarnation), 401},
		"another call":           {"GET", "/api/v1/runs", asks(claim, incarnation), 403},
		"a heartbeat":            {"POST", "/api/v1/runs/" + other.id + "/attempts/1/heartbeat", asks(claim, incarnation), 403},
		"no incarnation":         {"POST", journalPath(other.id, 1, 0), asks(claim, ""), 400},
		"a wrong incarnation":    {"POST", journalPath(other.id, 1, 0), asks(claim, "0A"), 400},
		"a later append":         {"POST", journalPath(other.id, 1, 7), asks(claim, incarnation), 400},
		"a later process":        {"POST", journalPath(other.id, 1, 0) + "&writer=2", asks(claim, incarnation), 400},
		"no journal":             {"POST", journalPath(other.id, 1, 0), asks(claim, incarnation), 422},
		"without any of the two": {"POST", journalPath(other.id, 1, 0), nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(nil)
			if c.method == "POST" && c.status != 422 {
				body = identity
			}
			l.do(c.method, c.path, body, c.headers...).problem(t, c.status)
		})
	}
}

// When the journal is whole, the token of its attempt is not valid any more; only the last append may be repeated, whose
// answer was lost.
func TestTokenOfAnAttemptThatIsWhole(t *testing.T) {
	l := start(t, server.Config{RequireToken: true})
	s := newSketch(t, "report", nil)
	bearer := []string{"Authorization", "Bearer " + access.AttemptToken(l.store.TokenKey(), s.id, 1, strings.Repeat("0a", 16))}
	begin := int64(len(s.command().bytes()))
	heartbeat, rest := "/api/v1/runs/"+s.id+"/attempts/1/heartbeat", "/api/v1/runs/"+s.id+"/attempts/1/journal/rest?offset=0"
	l.do("POST", journalPath(s.id, 1, 0), s.bytes(), bearer...).ok(t, nil)
	l.do("POST", heartbeat, []byte(`{}`), bearer...).ok(t, nil)
	l.get(rest, bearer...).ok(t, nil)
	all := s.finish(0).bytes()
	var got job.AppendReply
	for range 2 {
		l.do("POST", journalPath(s.id, 1, begin), all[begin:], bearer...).ok(t, &got)
		if got.Size != int64(len(all)) {
			t.Errorf("the last append: %+v", got)
		}
	}
	l.do("POST", journalPath(s.id, 1, int64(len(all))), nil, bearer...).ok(t, nil) // does the server have all of it?
	whole := func(what string, r reply) {
		t.Helper()
		p := r.problem(t, http.StatusConflict)
		if p.Type != job.ProblemJournalWhole || p.Size == nil || *p.Size != int64(len(all)) || !strings.Contains(p.Detail, "is whole here") {
			t.Errorf("%s: %+v", what, p)
		}
	}
	whole("an earlier append", l.do("POST", journalPath(s.id, 1, 0), s.bytes()[:begin], bearer...))
	whole("more", l.do("POST", journalPath(s.id, 1, int64(len(all))), []byte("x"), bearer...))
	whole("its size", l.do("POST", journalPath(s.id, 1, 0), nil, bearer...))
	whole("another writer", l.do("POST", journalPath(s.id, 1, int64(len(all)))+"&writer=1", nil, bearer...))
	whole("reading back", l.get(rest, bearer...))
	whole("a heartbeat", l.do("POST", heartbeat, []byte(`{}`), bearer...))
	person := []string{"Authorization", "Bearer " + l.mint(access.Read, time.Time{}, time.Now())}
	l.get("/api/v1/runs/"+s.id+"/attempts/1/journal", person...).ok(t, nil)
}

// The answer to the question for a permit is in a reply with the status 200, also a refusal.
func TestPermitOfARunThatWasNotSubmitted(t *testing.T) {
	l := start(t, server.Config{RequireToken: true})
	s := newSketch(t, "report", nil)
	claim := access.ClaimToken(l.store.TokenKey(), "0199aaaa-0000-7000-8000-000000000001")
	headers := []string{job.HeaderClaim, claim, job.HeaderIncarnation, strings.Repeat("0a", 16)}
	var reply struct {
		job.AppendReply
		job.Permit
	}
	l.do("POST", journalPath(s.id, 1, 0), s.bytes(), headers...).ok(t, &reply)
	if reply.Run != s.id || reply.Server == "" || reply.Size != 0 || reply.Answer != job.PermitRefused || reply.Why == "" || reply.AttemptToken != "" {
		t.Errorf("%+v", reply)
	}
	l.get("/api/v1/runs/"+s.id, "Authorization", "Bearer "+l.mint(access.Read, time.Time{}, time.Now())).problem(t, http.StatusNotFound)
}
