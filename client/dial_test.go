package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// deadConn takes nothing and answers nothing. After SetDeadline one of its directions fails, and
// the other one only once the connection is closed.
type deadConn struct {
	net.Conn
	readFirst       bool
	expired, closed chan struct{}
	expire, close   func()
}

func newDeadConn(readFirst bool) *deadConn {
	c := &deadConn{readFirst: readFirst, expired: make(chan struct{}), closed: make(chan struct{})}
	c.expire = sync.OnceFunc(func() { close(c.expired) })
	c.close = sync.OnceFunc(func() { close(c.closed) })
	return c
}

func (c *deadConn) Read([]byte) (int, error)    { return 0, c.fail(c.readFirst) }
func (c *deadConn) Write([]byte) (int, error)   { return 0, c.fail(!c.readFirst) }
func (c *deadConn) SetDeadline(time.Time) error { c.expire(); return nil }
func (c *deadConn) Close() error                { c.close(); return nil }
func (*deadConn) RemoteAddr() net.Addr          { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80} }

func (c *deadConn) fail(first bool) error {
	expired := c.expired
	if !first {
		expired = nil
	}
	select {
	case <-expired:
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	}
}

// A request on a dead connection fails with the cause, whether its reading or its writing fails
// first.
func TestADeadConnectionIsNamed(t *testing.T) {
	for name, readFirst := range map[string]bool{"reading fails first": true, "writing fails first": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := transport(nil)
				tr.unacknowledged = func(net.Conn, time.Duration) bool { return true }
				tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return newDeadConn(readFirst), nil }
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://10.0.0.1", bytes.NewReader(make([]byte, 1<<20)))
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				resp, err := tr.RoundTrip(req)
				if err == nil {
					resp.Body.Close()
				}
				if took := time.Since(begun); took != deadAfter {
					t.Errorf("it took %s, want %s", took, deadAfter)
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "10.0.0.1:80 acknowledged nothing for 15s") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}
