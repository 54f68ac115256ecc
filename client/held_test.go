package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// The end of the server's side of the connection is told while nothing is on its way.
func TestHeartbeatsCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		accept(w)
	}))
	defer server.Close()
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		if _, err := c.Beat(ctx, "r", 1, job.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-c.HeartbeatsCut():
		t.Fatal("cut while it is held")
	default:
	}
	server.CloseClientConnections()
	select {
	case <-c.HeartbeatsCut():
	case <-ctx.Done():
		t.Fatal("nobody tells that the connection was cut")
	}
}

// accept answers an append or a heartbeat of run r, attempt 1.
func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"run":"r","attempt":1,"size":0,"owner":true,"lease_ms":15000,"next_ms":5000}`)) // the client tells of any error
}

// connections is a server that counts them.
func connections(t *testing.T, h http.HandlerFunc) (*client.Client, *atomic.Int64) {
	var count atomic.Int64
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			count.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &count
}

func TestSmallAppendsAndHeartbeatsShareAConnection(t *testing.T) {
	c, count := connections(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client tells of any error
		accept(w)
	})
	var both sync.WaitGroup
	for _, call := range []func() error{
		func() error { _, err := c.Append(t.Context(), "r", 1, 0, make([]byte, 64<<10)); return err },
		func() error { _, err := c.Beat(t.Context(), "r", 1, job.Heartbeat{}); return err },
	} {
		both.Go(func() {
			for range 200 {
				if err := call(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	if n := count.Load(); n != 1 {
		t.Errorf("%d connections for small appends and heartbeats", n)
	}
	if _, err := c.Append(t.Context(), "r", 1, 0, make([]byte, 64<<10+1)); err != nil {
		t.Fatal(err)
	}
	if n := count.Load(); n != 2 {
		t.Errorf("%d connections, with one for a larger append", n)
	}
}

// An append that gets no answer holds up neither heartbeats nor what follows them.
func TestHeartbeatsDoNotWaitForAnAppend(t *testing.T) {
	beaten := make(chan struct{})
	c, count := connections(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client tells of any error
		if strings.Contains(r.URL.Path, "/journal") {
			<-beaten
		}
		accept(w)
	})
	done := make(chan error, 1)
	go func() {
		_, err := c.Append(t.Context(), "r", 1, 0, []byte("a few bytes"))
		done <- err
	}()
	_, err := c.Beat(t.Context(), "r", 1, job.Heartbeat{})
	close(beaten)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	for range 3 { // one of the connections goes on
		if _, err := c.Beat(t.Context(), "r", 1, job.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count.Load(); n > 2 {
		t.Errorf("%d connections", n)
	}
}
