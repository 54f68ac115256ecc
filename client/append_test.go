package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

const someRun = "01890a5d-ac96-774b-bcce-b302099a8057"

func TestAppendFrom(t *testing.T) {
	held := bytes.Repeat([]byte("a line of a journal\n"), 100_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, held[7:1_000_007]) || r.ContentLength != 1_000_000 || r.URL.Query().Get("offset") != "7" {
			t.Errorf("got %d bytes of %d, error %v, %v", len(got), r.ContentLength, err, r.URL)
		}
		writeJSON(w, `{"run":"`+someRun+`","attempt":1,"server":"s","size":1000007,"watched":true}`)
	}))
	defer srv.Close()
	c, err := New(Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 { // on the same connection
		reply, err := c.AppendFrom(t.Context(), someRun, 1, 7, 1_000_000, bytes.NewReader(held))
		if err != nil || reply.Size != 1_000_007 || !reply.Watched {
			t.Errorf("reply %+v, error %v", reply, err)
		}
	}
}

// Each try of an append says what the clock is when it is sent, on either connection, and
// nothing else does: a server corrects the starts of runs by it.
func TestAppendsSayWhatTheClockIs(t *testing.T) {
	var clocks []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
		clocks = append(clocks, r.Header.Get(job.HeaderClock))
		if len(clocks) == 1 {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
			return
		}
		writeJSON(w, `{"run":"`+someRun+`","attempt":1,"server":"s","size":3,"watched":true}`)
	}))
	defer srv.Close()
	c, err := New(Options{URL: srv.URL, Run: someRun})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := time.Now()
	if _, err := c.Append(t.Context(), someRun, 1, 0, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AppendFrom(t.Context(), someRun, 1, 0, 3, strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	for i, text := range clocks {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || at.Before(before.Round(0)) || at.After(time.Now()) {
			t.Errorf("request %d: clock %q, %v", i, text, err)
		}
		before = at
	}
	if len(clocks) != 3 {
		t.Fatalf("%d requests", len(clocks))
	}
	_, _ = c.Run(t.Context(), someRun) // the answer is not one of a run
	if clocks[3] != "" {
		t.Errorf("a question has a clock: %q", clocks[3])
	}
}

// What cannot be read is not sent as something else, and an answer before the end is read.
func TestAppendFromBreaksOff(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("offset") == "1" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"type":"urn:stint:wrong-offset","title":"wrong offset","status":409,"size":5}`))
			return
		}
		if n, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Errorf("a whole request of %d bytes", n)
		}
	}))
	defer srv.Close()
	c, err := New(Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.AppendFrom(t.Context(), someRun, 1, 0, 1<<20, bytes.NewReader(make([]byte, 1<<19)))
	var away *UnreachableError
	if !errors.As(err, &away) {
		t.Errorf("half of the bytes were there: %v", err)
	}
	_, err = c.AppendFrom(t.Context(), someRun, 1, 1, 1<<23, bytes.NewReader(make([]byte, 1<<24)))
	var p *job.Problem
	if !errors.As(err, &p) && !errors.As(err, &away) { // whichever end of the connection is first
		t.Errorf("a conflict came as %v", err)
	}
}

// writeJSON answers 200 with JSON.
func writeJSON(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body)) // the client reports any error
}
