package transport

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

	"stint.dev/stint/client/internal/transport/transporttest"
)

// drain lets the connection be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// When a path heals, connections are made that were begun for requests which have been given up.
// None of them makes the transport close the one that carries the heartbeats: its end would look
// to the server as if the agent had been killed.
func TestConnectionsOfGivenUpRequestsReplaceNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := transporttest.NewPipes()
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

		live := New(nil)
		live.SetDial(p.Dial)
		held := NewHolding().Transport(live)
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
		time.AfterFunc(500*time.Millisecond, func() { close(p.Open) })
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
			held := NewHolding().Transport(New(nil))
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
