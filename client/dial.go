package client

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// dialTimeout bounds the making of a connection.
	dialTimeout = 10 * time.Second
	// deadAfter is how long the other end of a connection may acknowledge nothing while
	// something is on its way, or while a reply is waited for. The request fails then, and can
	// be made again on another connection. A slow link acknowledges something all the time.
	deadAfter = 15 * time.Second
)

// dialer makes connections on which a peer that vanished is noticed while a reply is waited
// for.
func dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter / 3, Interval: deadAfter / 3, Count: 2},
	}
}

// liveTransport fails requests on connections that are dead.
type liveTransport struct {
	*http.Transport
	deadAfter time.Duration
	// unacknowledged reports whether something on its way has not been acknowledged for a time.
	unacknowledged func(net.Conn, time.Duration) bool
}

// RoundTrip returns an os.ErrDeadlineExceeded that names the peer if the connection was dead,
// whichever way net/http noticed: if its reading fails first, it closes the connection, and
// what it returns is that the request was written to a closed one.
func (t liveTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	w := connWatch{unacknowledged: t.unacknowledged}
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { w.begin(got.Conn, t.deadAfter/3) }}
	resp, err := t.Transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if peer := w.end(); err != nil && peer != nil {
		err = fmt.Errorf("%s acknowledged nothing for %s: %w", peer, t.deadAfter, os.ErrDeadlineExceeded)
	}
	return resp, err
}

// connWatch looks after the connection of a request until the reply begins.
type connWatch struct {
	unacknowledged func(net.Conn, time.Duration) bool

	mu    sync.Mutex
	timer *time.Timer // nil while there is nothing to look after
	stale int         // how many looks in a row found that nothing is acknowledged
	dead  net.Addr    // the peer of the connection if it is dead
}

// begin looks after a connection in place of the one before, which was not used.
func (w *connWatch) begin(conn net.Conn, every time.Duration) {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale, w.dead = 0, nil
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
		if w.stale == 2 { // what was sent first may have been sent a moment ago
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

// rawConn is the socket of a connection; nil if it has none.
func rawConn(conn net.Conn) syscall.RawConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if held, ok := conn.(*heldConn); ok {
		conn = held.Conn
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
