package client_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// Questions are put again when the server asks for that, a few times, and nothing else is.
func TestAsksAgain(t *testing.T) {
	const id = "0199aaaa-0000-7000-8000-000000000001"
	cases := []struct {
		name     string
		refusals int
		status   int
		wait     string
		asked    int
		ok       bool
		kind     string // of the problem; of the server when empty
	}{
		{"at once", 0, 503, "1", 1, true, ""},
		{"once refused", 1, 503, "1", 2, true, ""},
		{"refused for long", 9, 503, "1", 3, false, ""},
		{"much later", 9, 503, "60", 1, false, ""},
		{"no time given", 9, 503, "", 1, false, ""},
		{"too many requests", 9, 429, "1", 1, false, ""},
		{"another fault", 9, 500, "", 1, false, ""},
		{"a proxy without a server", 1, 503, "1", 2, true, "about:blank"},
	}
	for _, what := range []string{"run", "log"} {
		for _, tt := range cases {
			t.Run(what+"/"+tt.name, func(t *testing.T) {
				asked := 0
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if asked++; asked <= tt.refusals {
						if tt.wait != "" {
							w.Header().Set("Retry-After", tt.wait)
						}
						w.Header().Set("Content-Type", "application/problem+json")
						w.WriteHeader(tt.status)
						fmt.Fprintf(w, `{"type":%q,"title":"no","status":%d}`, cmp.Or(tt.kind, "urn:stint:x"), tt.status)
						return
					}
					w.Header().Set("Stint-Log-Attempt", "1")
					fmt.Fprint(w, `{}`)
				}))
				defer s.Close()
				c, err := client.New(client.Options{URL: s.URL})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				begun := time.Now()
				if what == "run" {
					_, err = c.Run(t.Context(), id)
				} else {
					err = c.Log(t.Context(), &bytes.Buffer{}, id, client.LogQuery{}, false)
				}
				var p *job.Problem
				if tt.ok != (err == nil) || !tt.ok && !errors.As(err, &p) {
					t.Errorf("got %v", err)
				}
				if asked != tt.asked {
					t.Errorf("asked %d times, want %d", asked, tt.asked)
				}
				if took := time.Since(begun); took < time.Duration(tt.asked-1)*time.Second {
					t.Errorf("came back after %s", took)
				}
			})
		}
	}
}
