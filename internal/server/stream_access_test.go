package server_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
)

// A stream ends with the token or session that it was begun with.
func TestStreamsEndWithTheirAccess(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now, AccessCheckInterval: 20 * time.Millisecond})
	s := newSketch(t, "nightly", nil).command().output("hello\n")
	l.append(s)
	begin := func(path string, headers ...string) (ended <-chan error) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", l.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", path, resp.StatusCode)
		}
		body := bufio.NewReader(resp.Body)
		if _, err := body.ReadString('\n'); err != nil && path != "/api/v1/stream" {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, body)
			done <- err
		}()
		return done
	}
	revoke := func(name string) {
		t.Helper()
		all, err := l.store.Tokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range all {
			if tok.Name == name {
				admin := l.mint(access.Admin, time.Time{}, c.now())
				l.do("DELETE", "/api/v1/tokens/"+tok.ID, nil, "Authorization", "Bearer "+admin)
			}
		}
	}
	run := "/api/v1/runs/" + s.id + "/stream"
	secret := l.mint(access.Read, time.Time{}, c.now())
	bearer := []string{"Authorization", "Bearer " + secret}
	cookie := l.session(secret)
	other := begin(run, "Authorization", "Bearer "+l.mint(access.Write, time.Time{}, c.now()))
	loggedOut := begin(run, "Cookie", cookie)
	l.do("POST", "/api/v1/logout", nil, "Cookie", cookie).ok(t, nil)
	wantEnd(t, "after the log-out", loggedOut)
	streams := map[string]<-chan error{
		"one run": begin(run, bearer...), "all runs": begin("/api/v1/stream", bearer...), "a session": begin(run, "Cookie", l.session(secret)),
	}
	revoke("for read")
	for name, ended := range streams {
		wantEnd(t, name, ended)
	}
	short := begin(run, "Authorization", "Bearer "+l.mint(access.Read, c.now().Add(time.Hour), c.now()))
	c.add(time.Hour)
	wantEnd(t, "an expired token", short)
	select {
	case <-other:
		t.Error("the stream of another token ended too")
	default:
	}
}

func wantEnd(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v", what, err)
		}
	case <-t.Context().Done():
		t.Fatalf("%s: the stream goes on", what)
	case <-time.After(time.Minute):
		t.Fatalf("%s: the stream goes on", what)
	}
}
