// Package transport makes the connections of a client of the server: they detect a peer that is
// dead, are made over paths that lose packets, and one of them is held open.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/job"
)

const (
	// dialTimeout bounds the making of a connection.
	dialTimeout = 10 * time.Second
	// deadAfter is how long the other end of a connection may acknowledge nothing while data is
	// in flight or a reply is pending. The request fails then, and can be sent again on another
	// connection. A slow link acknowledges something all the time.
	deadAfter = 15 * time.Second
	// idleTimeout keeps connections open between requests that follow each other.
	idleTimeout = 30 * time.Second
)

// dialer makes connections that detect a peer that vanished while a reply is pending.
func dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter / 3, Interval: deadAfter / 3, Count: 2},
	}
}

// Live is a transport that fails requests on connections that are dead. It sets the clock in the
// headers of a request when there is a connection for it.
type Live struct {
	*http.Transport
	deadAfter time.Duration
	// unacknowledged reports whether data in flight has not been acknowledged for a time.
	unacknowledged func(net.Conn, time.Duration) bool
}

// New makes a transport. trust has the authorities to trust and the client certificate; nil for
// the system's authorities and no certificate.
func New(trust *tls.Config) Live {
	t := Live{&http.Transport{
		TLSClientConfig:       trust,
		Proxy:                 http.ProxyFromEnvironment,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       64 << 10,
	}, deadAfter, unacknowledged}
	t.SetDial(dialer().DialContext)
	return t
}

// SetDial sets how connections are made.
func (t Live) SetDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	t.DialContext = liveDialer(dial)
}

// RoundTrip returns an os.ErrDeadlineExceeded that names the peer if the connection was dead,
// and otherwise why it ended, whichever way net/http noticed: if its reading fails first, it
// closes the connection, and what it returns is that the request was written to a closed one.
func (t Live) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.roundTrip(req, func(net.Conn, http.Header) {})
}

// roundTrip calls mark with each connection that the request is to be sent on, and with its
// headers as they will be sent.
func (t Live) roundTrip(req *http.Request, mark func(net.Conn, http.Header)) (*http.Response, error) {
	w := connWatch{unacknowledged: t.unacknowledged}
	header := req.Header.Clone()
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		w.begin(got.Conn, t.deadAfter/3)
		if header.Get(job.HeaderClock) != "" {
			header.Set(job.HeaderClock, ClockText())
		}
		mark(got.Conn, header)
	}}))
	req.Header = header
	resp, err := t.Transport.RoundTrip(req)
	if peer := w.end(); err != nil && peer != nil {
		err = fmt.Errorf("%s acknowledged nothing for %s: %w", peer, t.deadAfter, os.ErrDeadlineExceeded)
	}
	if errors.Is(err, net.ErrClosed) {
		if cause := w.readError(); cause != nil {
			err = fmt.Errorf("the connection ended while the request was sent: %w", cause)
		}
	}
	return resp, err
}

// liveConn is a connection that keeps the error of reading: net/http closes it then, and may
// return the error of a later write instead.
type liveConn struct {
	net.Conn
	readError atomic.Pointer[error] // of the first Read that failed
}

func (c *liveConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.readError.CompareAndSwap(nil, &err)
	}
	return n, err
}

// liveDialer makes the connections of a dialer live ones.
func liveDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &liveConn{Conn: conn}, nil
	}
}

// ClockText is the time on this host's clock, as job.HeaderClock has it.
func ClockText() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// connWatch checks the connection of a request until the reply begins.
type connWatch struct {
	unacknowledged func(net.Conn, time.Duration) bool

	mu    sync.Mutex
	conn  net.Conn    // nil before the first
	timer *time.Timer // nil while no request waits
	stale int         // how many checks in a row found that nothing is acknowledged
	dead  net.Addr    // the peer of the connection if it is dead
}

// begin checks a connection in place of the one before, which was not used.
func (w *connWatch) begin(conn net.Conn, every time.Duration) {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.stale, w.dead = conn, 0, nil
	var timer *time.Timer
	timer = time.AfterFunc(2*every, func() {
		stale := w.unacknowledged(conn, 2*every)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.timer != timer {
			return
		}
		if w.stale++; !stale {
			w.stale = 0
		}
		if w.stale == 2 { // the oldest data in flight may have been sent a moment ago
			w.dead = conn.RemoteAddr()
			_ = conn.SetDeadline(time.Unix(1, 0)) // it is closed already if this fails
			return
		}
		timer.Reset(every)
	})
	w.timer = timer
}

// end ends the watch. It returns the peer of the connection if that was found dead, else nil.
func (w *connWatch) end() net.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	return w.dead
}

// readError is why the reading of the connection failed; nil if it did not, or is not known.
func (w *connWatch) readError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if live, ok := plainConn(w.conn).(*liveConn); ok {
		if err := live.readError.Load(); err != nil {
			return *err
		}
	}
	return nil
}

// plainConn is the connection below TLS, and below one that is held.
func plainConn(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if held, ok := conn.(*heldConn); ok {
		conn = held.Conn
	}
	return conn
}

// rawConn is the socket of a connection; nil if it has none.
func rawConn(conn net.Conn) syscall.RawConn {
	conn = plainConn(conn)
	if live, ok := conn.(*liveConn); ok {
		conn = live.Conn
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
