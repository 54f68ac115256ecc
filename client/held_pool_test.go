package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/job"
)

// pipes are a listener and a dialer of connections that no packet crosses before a moment.
type pipes struct {
	open     chan struct{} // closed at that moment
	accepted chan net.Conn
	closed   chan struct{}
}

func newPipes() pipes {
	return pipes{make(chan struct{}), make(chan net.Conn), make(chan struct{})}
}

// transport makes connections through pipes.
func (p pipes) transport() liveTransport {
	t := transport(nil)
	t.Transport.DialContext = liveDialer(p.dial)
	return t
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error { close(p.closed); return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-p.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	select {
	case p.accepted <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// When a path heals, connections are made that were begun for requests which have been given up.
// None of them makes the transport close the one that carries the heartbeats: its end would look
// to the server as if the agent had been killed.
func TestConnectionsOfGivenUpRequestsReplaceNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		var mu sync.Mutex
		carried, ends := map[net.Conn]bool{}, 0 // those that carried requests and are open
		type connKey struct{}
		server := &http.Server{
			ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
			ConnState: func(c net.Conn, s http.ConnState) {
				mu.Lock()
				defer mu.Unlock()
				if s != http.StateClosed || !carried[c] {
					return
				}
				if delete(carried, c); len(carried) == 0 {
					ends++
				}
			},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				carried[r.Context().Value(connKey{}).(net.Conn)] = true
				mu.Unlock()
				<-time.After(10 * time.Millisecond) // a reply takes longer than a connection
			}),
		}
		served := make(chan error)
		go func() { served <- server.Serve(p) }()

		held := newHolding().transport(p.transport())
		ask := func(timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := held.RoundTrip(req)
			if err == nil {
				drain(resp)
			}
			return err
		}
		for range 2 {
			if err := ask(4 * time.Second); err == nil {
				t.Fatal("a request crossed a path that is cut")
			}
		}
		time.AfterFunc(500*time.Millisecond, func() { close(p.open) })
		for range 3 {
			if err := ask(4 * time.Second); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		mu.Lock()
		if ends != 0 || len(carried) == 0 {
			t.Errorf("%d times the last connection ended that carried requests; %d are open", ends, len(carried))
		}
		mu.Unlock()
		held.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
}

// The connection of a heartbeat that was given up stays open until another one has brought a
// reply, and is closed then, or with the client.
func TestAGivenUpHeartbeatClosesNoConnection(t *testing.T) {
	for _, replies := range []bool{true, false} {
		t.Run(fmt.Sprintf("another one replies %v", replies), func(t *testing.T) {
			var answered atomic.Bool
			begun, ended := make(chan struct{}, 1), make(chan bool, 1)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // the context ends with the connection after that only
				if r.Header.Get("X-Hangs") == "" {
					answered.Store(true)
					return
				}
				begun <- struct{}{}
				<-r.Context().Done() // of the end of the connection
				ended <- answered.Load()
			}))
			defer server.Close()
			held := newHolding().transport(transport(nil))
			defer held.CloseIdleConnections()
			ask := func(ctx context.Context, hangs string) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Hangs", hangs)
				resp, err := held.RoundTrip(req)
				if err == nil {
					drain(resp)
				}
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-begun
				cancel()
			}()
			if err := ask(ctx, "yes"); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if !replies {
				held.CloseIdleConnections()
			}
			for {
				select {
				case got := <-ended:
					if got != replies {
						t.Errorf("the connection ended when another reply had come: %v, want %v", got, replies)
					}
					return
				default:
				}
				if !replies {
					runtime.Gosched()
				} else if err := ask(t.Context(), ""); err != nil { // the transport gives up the first one in its own time
					t.Fatal(err)
				}
			}
		})
	}
}

// However long they take, a heartbeat and a small append wait for each other for no longer than
// turnTime, so no time passes here.
func TestSmallAppendsAndHeartbeatsShareAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		close(p.open)
		var count atomic.Int64
		server := &http.Server{
			ConnState: func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					count.Add(1)
				}
			},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"run":"r","attempt":1,"size":0,"owner":true,"lease_ms":15000,"next_ms":5000}`)
			}),
		}
		served := make(chan error)
		go func() { served <- server.Serve(p) }()
		c, err := New(Options{URL: "http://server", Run: "r"})
		if err != nil {
			t.Fatal(err)
		}
		c.calls, c.held = httpClient(p.transport()), httpClient(c.holding.transport(p.transport()))
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
		c.Close()
		_ = server.Close()
		<-served
	})
}

// A server that answers nothing is left with two connections of a client, the oldest and the
// newest, however many requests are given up.
func TestFewGivenUpConnectionsStayOpen(t *testing.T) {
	a := &abandoned{}
	var open []bool
	var ends []net.Conn
	for range 5 {
		near, far := net.Pipe()
		a.add(near)
		ends = append(ends, far)
	}
	for _, far := range ends {
		_ = far.SetReadDeadline(time.Unix(1, 0))
		_, err := far.Read(make([]byte, 1))
		open = append(open, errors.Is(err, os.ErrDeadlineExceeded))
	}
	if want := []bool{true, false, false, false, true}; !slices.Equal(open, want) {
		t.Errorf("open: %v, want %v", open, want)
	}
	a.close()
	if _, err := ends[0].Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the oldest is open after the end of the client")
	}
}
