package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// deadConn takes nothing and answers nothing. After SetDeadline one of its directions fails with
// cause, and the other one only once the connection is closed.
type deadConn struct {
	net.Conn
	readFirst       bool
	cause           error
	expired, closed chan struct{}
	expire, close   func()
}

func newDeadConn(readFirst bool) *deadConn {
	c := &deadConn{readFirst: readFirst, cause: os.ErrDeadlineExceeded, expired: make(chan struct{}), closed: make(chan struct{})}
	c.expire = sync.OnceFunc(func() { close(c.expired) })
	c.close = sync.OnceFunc(func() { close(c.closed) })
	return c
}

func (c *deadConn) Read([]byte) (int, error)    { return 0, c.fail(c.readFirst) }
func (c *deadConn) Write([]byte) (int, error)   { return 0, c.fail(!c.readFirst) }
func (c *deadConn) SetDeadline(time.Time) error { c.expire(); return nil }
func (c *deadConn) Close() error                { c.close(); return nil }
func (*deadConn) RemoteAddr() net.Addr          { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80} }

func (*deadConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1} }

func (c *deadConn) fail(first bool) error {
	expired := c.expired
	if !first {
		expired = nil
	}
	select {
	case <-expired:
		return c.cause
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
				tr := New(nil)
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

// A request whose connection ends while it is sent fails with the cause, also if net/http reads
// that first and closes the connection; on a connection that is held, too.
func TestAConnectionThatEndsIsNamed(t *testing.T) {
	for name, wrap := range map[string]func(Live) http.RoundTripper{
		"of calls": func(tr Live) http.RoundTripper { return tr },
		"held":     func(tr Live) http.RoundTripper { return NewHolding().Transport(tr) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := newDeadConn(true)
				conn.cause = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
				tr := New(nil)
				tr.SetDial(func(context.Context, string, string) (net.Conn, error) { return conn, nil })
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://10.0.0.1", bytes.NewReader(make([]byte, 1<<20)))
				if err != nil {
					t.Fatal(err)
				}
				reset := time.AfterFunc(time.Second, conn.expire)
				defer reset.Stop()
				resp, err := wrap(tr).RoundTrip(req)
				if err == nil {
					resp.Body.Close()
				}
				if !errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// The socket of a connection is found below everything that wraps it.
func TestRawConn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := New(nil).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	held := &heldConn{Conn: conn, Holding: NewHolding()}
	for name, c := range map[string]net.Conn{"live": conn, "held": held, "TLS": tls.Client(conn, nil), "TLS, held": tls.Client(held, nil)} {
		if rawConn(c) == nil {
			t.Errorf("%s: no socket", name)
		}
	}
	if rawConn(newDeadConn(true)) != nil {
		t.Error("a socket of what has none")
	}
}
