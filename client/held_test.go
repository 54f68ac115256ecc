package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// The end of a held connection is reported while nothing is on its way, whatever two requests it
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
			c, err := client.New(client.Options{URL: server.URL, Run: "r"})
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
				t.Fatal("the end of the connection was not reported")
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
	c, err := client.New(client.Options{URL: server.URL, Run: "r"})
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
		t.Fatal("the end of the connection was not reported")
	}
}

func notCut(t *testing.T, c *client.Client) {
	t.Helper()
	select {
	case <-c.HeartbeatsCut():
		t.Fatal("a cut is reported too early")
	default:
	}
}

// Every request on the held connection names the agent's end of it, also the first one and
// the first one after a redirect or a cut: that is what the server sees where there is nothing
// between them. No other request does, and no other run's journal is on that connection.
func TestHeldRequestsNameTheLocalAddress(t *testing.T) {
	type request struct{ local, remote string }
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
		got = append(got, request{r.Header.Get("Stint-Local-Address"), r.RemoteAddr})
		if strings.HasPrefix(r.URL.Path, "/moved") {
			http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/moved"), http.StatusTemporaryRedirect)
			return
		}
		accept(w)
	}))
	defer server.Close()
	for _, path := range []string{"", "/moved"} {
		c, err := client.New(client.Options{URL: server.URL + path, Run: "r"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		appends := func(run string, size int) func() error {
			return func() error {
				_, err := c.Append(t.Context(), run, 1, 0, make([]byte, size))
				var foreign *client.ForeignReplyError
				if run != "r" && errors.As(err, &foreign) {
					err = nil // accept answers for run r
				}
				return err
			}
		}
		beats := func() error { _, err := c.Beat(t.Context(), "r", 1, job.Heartbeat{}); return err }
		held := ""
		for _, step := range []struct {
			name  string
			call  func() error
			cut   bool // before
			named bool
		}{
			{"first append", appends("r", 100), false, true},
			{"first heartbeat", beats, false, true},
			{"large append", appends("r", 100_000), false, false},
			{"another run's append", appends("other", 100), false, false},
			{"heartbeat after a cut", beats, true, true},
			{"append after a cut", appends("r", 1), true, true},
		} {
			if step.cut {
				if err := beats(); err != nil { // a connection of one request is not missed
					t.Fatal(err)
				}
				server.CloseClientConnections()
				<-c.HeartbeatsCut()
				held = ""
			}
			got = nil
			err := step.call()
			var missed *client.UnreachableError // the transport may still take the connection for open
			for n := 0; n < 100 && step.cut && errors.As(err, &missed); n++ {
				err = step.call()
			}
			if err != nil {
				t.Fatalf("%s%s: %v", path, step.name, err)
			}
			for _, r := range got {
				if r.local != "" != step.named || step.named && (r.local != r.remote || held != "" && r.remote != held) || !step.named && r.remote == held {
					t.Errorf("%s%s: %+v, held %s", path, step.name, r, held)
				}
				if step.named {
					held = r.remote
				}
			}
		}
	}
}

// accept answers an append or a heartbeat of run r, attempt 1.
func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"run":"r","attempt":1,"size":0,"owner":true,"lease_ms":15000,"next_ms":5000}`)) // the client reports any error
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
	c, err := client.New(client.Options{URL: server.URL, Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &count
}

// An append that gets no answer holds up neither heartbeats nor what follows them.
func TestHeartbeatsDoNotWaitForAnAppend(t *testing.T) {
	replied := make(chan struct{})
	c, count := connections(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
		if strings.Contains(r.URL.Path, "/journal") {
			<-replied
		}
		accept(w)
	})
	done := make(chan error, 1)
	go func() {
		_, err := c.Append(t.Context(), "r", 1, 0, []byte("a few bytes"))
		done <- err
	}()
	_, err := c.Beat(t.Context(), "r", 1, job.Heartbeat{})
	close(replied)
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
