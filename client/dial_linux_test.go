package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

// slowReader is a server that reads bodies at a pace, and how many bytes it has read.
func slowReader(t *testing.T, read func(r *http.Request) error) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := read(r); err != nil {
			t.Error(err)
		}
	}))
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew {
			if err := tcp.SetReadBuffer(64 << 10); err != nil { // so that the window closes soon
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
	tr := &http.Transport{DialContext: dialer(deadAfter).DialContext}
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

// A connection on which nothing is acknowledged any more fails long before its request times
// out.
func TestAConnectionThatStandsStillFails(t *testing.T) {
	failed := make(chan struct{})
	server := slowReader(t, func(*http.Request) error { <-failed; return nil })
	err := upload(t, server.URL, 1<<30, 500*time.Millisecond)
	close(failed)
	if !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("upload to somebody who does not read: %v, want a connection that timed out", err)
	}
}

// A slow upload takes many times as long as a connection may stand still.
func TestASlowUploadGoesOn(t *testing.T) {
	const size, chunk = 4 << 20, 64 << 10
	const deadAfter, pace = 2 * time.Second, 100 * time.Millisecond
	server := slowReader(t, func(r *http.Request) error {
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
	begun := time.Now()
	if err := upload(t, server.URL, size, deadAfter); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 2*deadAfter {
		t.Errorf("it took %s, which shows nothing", took)
	}
}
