package client

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
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
}

func (t liveTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var w connWatch
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { w.begin(got.Conn, t.deadAfter/3) }}
	resp, err := t.Transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	w.end()
	return resp, err
}

// connWatch looks after the connection of a request until the reply begins.
type connWatch struct {
	mu    sync.Mutex
	timer *time.Timer // nil while there is nothing to look after
	stale int         // how many looks in a row found that nothing is acknowledged
}

// begin looks after a connection in place of the one before, which was not used.
func (w *connWatch) begin(conn net.Conn, every time.Duration) {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale = 0
	var timer *time.Timer
	timer = time.AfterFunc(2*every, func() {
		stale := unacknowledged(conn, 2*every)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.timer != timer {
			return
		}
		if w.stale++; !stale {
			w.stale = 0
		}
		if w.stale == 2 { // what was sent first may have been sent a moment ago
			_ = conn.SetDeadline(time.Unix(1, 0)) // it is closed already if this fails
			return
		}
		timer.Reset(every)
	})
	w.timer = timer
}

func (w *connWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
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
