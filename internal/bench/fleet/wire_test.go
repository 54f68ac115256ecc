package fleet

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A server closes connections on which nothing came for long: the next request goes over a new one.
func TestWireSendsAgainAfterTheServerClosed(t *testing.T) {
	var conns atomic.Int64
	closed := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	w, err := Dial(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	for n, body := range []string{"first", "second", "third"} {
		answer, err := w.Post("/", "text/plain", []byte(body))
		if err != nil || string(answer) != body {
			t.Fatalf("request %d: %q, %v", n+1, answer, err)
		}
		s.CloseClientConnections()
		<-closed
	}
	if n := conns.Load(); n != 3 {
		t.Errorf("%d connections for three requests, each of which was closed", n)
	}
}

// A request whose answer began is not sent twice.
func TestWireKeepsAnAnswerThatBreaksOff(t *testing.T) {
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "too little")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	w, err := Dial(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if answer, err := w.Post("/", "text/plain", nil); err == nil || errors.Is(err, errClosed) {
		t.Errorf("answer %q, error %v", answer, err)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("the request was sent %d times", n)
	}
}
