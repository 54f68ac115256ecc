package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// readingServer is a server with small buffers that reads bodies in its own way.
func readingServer(t *testing.T, read func(r *http.Request) error) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := read(r); err != nil {
			t.Error(err)
		}
	}))
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew {
			if err := tcp.SetReadBuffer(32 << 10); err != nil {
				t.Error(err)
			}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// upload sends a body of many bytes over a connection that is dead after a time.
func upload(t *testing.T, url string, size int64, deadAfter time.Duration) error {
	t.Helper()
	tr := New(nil)
	tr.deadAfter = deadAfter
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err == nil {
		drain(resp)
	}
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// As long as the other end answers, a connection is not dead: an upload may take many times
// as long, in windows of any size, and the server may pause for as long.
func TestASlowUploadGoesOn(t *testing.T) {
	const size, chunk = 1 << 20, 16 << 10
	const deadAfter, pace = 3 * time.Second, 10 * time.Millisecond // kernels answer two probes a second
	server := readingServer(t, func(r *http.Request) error {
		pause := time.NewTimer(2 * deadAfter)
		defer pause.Stop()
		<-pause.C
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for n := int64(0); n < size; <-ticker.C {
			m, err := io.CopyN(io.Discard, r.Body, chunk)
			if n += m; err != nil && n < size {
				return err
			}
		}
		return nil
	})
	if err := upload(t, server.URL, size, deadAfter); err != nil {
		t.Fatal(err)
	}
}

// A connection that nobody acknowledges anything on fails its request; the watch over it ends
// with the request.
func TestADeadConnectionFails(t *testing.T) {
	near, far := net.Pipe() // no socket: it is never known to be dead
	defer near.Close()
	defer far.Close()
	if unacknowledged(near, 0) {
		t.Error("a connection without a socket is taken for dead")
	}
	w := connWatch{unacknowledged: unacknowledged}
	w.begin(near, time.Millisecond)
	w.begin(near, time.Millisecond)
	w.end()
	if w.timer != nil {
		t.Error("the watch goes on after its request")
	}
	w.end()
	if err := near.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
}
