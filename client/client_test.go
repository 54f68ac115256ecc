package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"stint.dev/stint/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve makes a client of a server that answers with h.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	c, err := New(Options{URL: s.URL, Token: "stint_secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c
}

func TestAppendSaysWhereToGoOn(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.RequestURI() != "/api/v1/runs/R/attempts/2/journal?offset=7" || string(body) != "bytes" ||
			r.Header.Get("Authorization") != "Bearer stint_secret" {
			t.Errorf("got %s with %q and %v", r.URL.RequestURI(), body, r.Header)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"type":"urn:stint:wrong-offset","title":"Conflict","status":409,"detail":"go on from 12","size":12}`)
	})
	_, err := c.Append(context.Background(), "R", 2, 7, []byte("bytes"))
	var p *job.Problem
	if !errors.As(err, &p) || p.Size == nil || *p.Size != 12 || p.Temporary() {
		t.Fatalf("got %v, want a problem with size 12 that is final", err)
	}
}

// Only what a Stint server sends is a problem; all else is foreign.
func TestErrorsOfAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		contentType string
		body        string
		retryAfter  string
		problem     bool
		wait        time.Duration
		says        string
	}{
		"overload":       {503, problemJSON, `{"type":"urn:stint:unavailable","status":503,"detail":"try later"}`, "7", true, 7 * time.Second, "try later"},
		"gone":           {404, problemJSON, `{"type":"urn:stint:not-found","status":404,"detail":"run x was not found"}`, "", true, 0, "run x was not found"},
		"limit":          {429, "text/plain", "slow down", "9", false, 9 * time.Second, `429 Too Many Requests, not in the way of a Stint server ("slow down")`},
		"proxy":          {502, "text/html", "<html><b>bad</b>\ngateway", "", false, 0, `502 Bad Gateway ("bad gateway")`},
		"wrong server":   {404, "text/html", "<html>not found</html>", "", false, 0, "not in the way of a Stint server"},
		"other problem":  {400, problemJSON, `{"type":"about:blank","status":400,"detail":"no"}`, "", false, 0, "400"},
		"empty problem":  {400, problemJSON, `{}`, "", false, 0, "400"},
		"broken problem": {400, problemJSON, `{"title":`, "", false, 0, "400"},
		"other status":   {404, problemJSON, `{"type":"urn:stint:run-deleted","status":410}`, "", false, 0, "404"},
		"not as JSON":    {404, "text/plain", `{"type":"urn:stint:not-found","status":404}`, "", false, 0, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := cl.Run(context.Background(), "x")
			var p *job.Problem
			var foreign *ForeignReplyError
			if errors.As(err, &p) != c.problem || errors.As(err, &foreign) == c.problem || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %T: %v", err, err)
			}
			if p != nil && (p.Status != c.status || p.RetryAfter != c.wait) || foreign != nil && (foreign.Status != c.status || foreign.RetryAfter != c.wait) {
				t.Errorf("got %+v", err)
			}
		})
	}
}

const problemJSON = "application/problem+json"

func TestNotAStintServer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") })
	var foreign *ForeignReplyError
	if _, err := c.Runs(context.Background(), RunsQuery{}); !errors.As(err, &foreign) {
		t.Errorf("runs: got %v", err)
	}
	if _, err := c.About(context.Background()); !errors.As(err, &foreign) {
		t.Errorf("about: got %v", err)
	}
	if _, err := c.Journal(context.Background(), someRun, 1, 0); !errors.As(err, &foreign) {
		t.Errorf("journal: got %v", err)
	}
	err := c.Follow(context.Background(), "x", LogQuery{}, func(StreamEvent) error { return nil }, nil)
	if err == nil || !strings.Contains(err.Error(), "live stream") {
		t.Errorf("follow: got %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	c, err := New(Options{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var gone *UnreachableError
	if _, err := c.Ready(context.Background()); !errors.As(err, &gone) || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Fatalf("got %v, want *UnreachableError with the address", err)
	}
}

func TestUnreachableSaysWhatToDoAboutACertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for address, says := range map[string]string{
		s.URL: "--tls-ca FILE",
		strings.Replace(plain.URL, "http:", "https:", 1): "begin with http://",
		"http://127.0.0.1:1":                             "stint server starts one",
	} {
		c, err := New(Options{URL: address})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", address, err, says)
		}
		c.Close()
	}
}

func TestLogTellsReaderFromWriter(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Stint-Log-Attempt", "1")
		w.Write(bytes.Repeat([]byte("x"), 1<<20))
	})
	closed := errors.New("closed")
	err := c.Log(context.Background(), failing{closed}, "x", LogQuery{Tail: 3}, false)
	if !errors.Is(err, closed) {
		t.Fatalf("got %v, want the writer's error", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
