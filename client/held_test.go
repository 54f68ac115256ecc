package client_test

import (
	"context"
	"encoding/json"
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

// The end of a held connection is told while nothing is on its way, whatever two requests it
// carried. One that carried a single request is not missed.
func TestHeartbeatsCut(t *testing.T) {
	for name, second := range map[string]func(ctx context.Context, c *client.Client) error{
		"heartbeats": func(ctx context.Context, c *client.Client) error {
			_, err := c.Beat(ctx, "r", 1, job.Heartbeat{})
			return err
		},
		"an append and a heartbeat": func(ctx context.Context, c *client.Client) error {
			_, err := c.Append(ctx, "r", 1, 0, []byte("x"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var first atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if !first.Swap(true) {
					w.Header().Set("Connection", "close") // as some proxies do after each answer
				}
				accept(w)
			}))
			defer server.Close()
			c, err := client.New(client.Options{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for range 2 {
				if _, err := c.Beat(ctx, "r", 1, job.Heartbeat{}); err != nil {
					t.Fatal(err)
				}
			}
			notCut(t, c)
			if err := second(ctx, c); err != nil {
				t.Fatal(err)
			}
			notCut(t, c)
			server.CloseClientConnections()
			select {
			case <-c.HeartbeatsCut():
			case <-ctx.Done():
				t.Fatal("nobody tells that the connection was cut")
			}
		})
	}
}

// The transport closes a connection by itself, without reading from it again, after a reply
// that it has not read to its end. The server takes that for the agent's death.
func TestAConnectionThatTheTransportClosesIsACut(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) < 3 {
			accept(w)
			return
		}
		w.Header().Set("Content-Length", "10000000")
		_, _ = w.Write(make([]byte, 1<<20)) // until the client has gone
		<-r.Context().Done()
	}))
	defer server.Close()
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if _, err := c.Beat(ctx, "r", 1, job.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	notCut(t, c)
	if _, err := c.Beat(ctx, "r", 1, job.Heartbeat{}); err == nil || ctx.Err() != nil {
		t.Fatalf("a reply without an end: %v", err)
	}
	select {
	case <-c.HeartbeatsCut():
	case <-ctx.Done():
		t.Fatal("nobody tells that the connection was cut")
	}
}

func notCut(t *testing.T, c *client.Client) {
	t.Helper()
	select {
	case <-c.HeartbeatsCut():
		t.Fatal("a cut is told too early")
	default:
	}
}

// A heartbeat names the agent's end of the connection, which is what the server sees where
// nothing stands between them.
func TestHeartbeatsNameTheLocalAddress(t *testing.T) {
	type beat struct{ local, remote string }
	var beats []beat
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var hb job.Heartbeat
		if err := json.NewDecoder(r.Body).Decode(&hb); err != nil {
			t.Error(err)
		}
		beats = append(beats, beat{hb.LocalAddress, r.RemoteAddr})
		accept(w)
	}))
	defer server.Close()
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Beat(t.Context(), "r", 1, job.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	if beats[0].local != "" || beats[1].local == "" || beats[1].local != beats[1].remote {
		t.Errorf("heartbeats %+v, want the address of the second", beats)
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
