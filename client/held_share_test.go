package client

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"stint.dev/stint/client/internal/transport"
	"stint.dev/stint/client/internal/transport/transporttest"
	"stint.dev/stint/job"
)

// However long they take, a heartbeat and a small append wait for each other for no longer than
// turnTime, so no time passes here.
func TestSmallAppendsAndHeartbeatsShareAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := transporttest.NewPipes()
		close(p.Open)
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
		live := func() transport.Live {
			t := transport.New(nil)
			t.SetDial(p.Dial)
			return t
		}
		c.setTransports(c.servers.All(), live)
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
