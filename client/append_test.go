package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

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

// What cannot be read is not sent as something else, and an answer before the end is heard.
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
	_, _ = w.Write([]byte(body)) // the client tells of any error
}
