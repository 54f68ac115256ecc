package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/job"
)

// heldIdle is longer than any pause between two heartbeats.
const heldIdle = 5*time.Minute + 30*time.Second

// leastHeld is how many requests a connection must have carried for its end to be reported.
const leastHeld = 2

// Holding keeps one connection open.
type Holding struct {
	cut chan struct{}
	old *abandoned
}

// NewHolding makes a Holding that has no connection yet.
func NewHolding() Holding { return Holding{make(chan struct{}, 1), &abandoned{}} }

// Cut is notified when a connection closed that had carried two requests or more. A late reader
// only does not see how often it happened. A connection that carried one request does not count:
// some proxies close each after its reply.
func (h Holding) Cut() <-chan struct{} { return h.cut }

// Transport makes a transport keep its connection open.
func (h Holding) Transport(t Live) Held {
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 1, heldIdle
	redial := &redialer{dial: t.DialContext}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := redial.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &heldConn{Conn: conn, Holding: h}, nil
	}
	return Held{t, h.old}
}

// abandoned are connections that carried requests and that the transport has closed: mostly
// because no reply came in time. They stay open until another one has brought a reply: the end of
// its connection reports to the server that an agent was killed, and this one may be the last.
type abandoned struct {
	mu    sync.Mutex
	conns []net.Conn
	end   bool // no request was sent since the client was closed
}

// add keeps a connection open, beside the oldest one: that is the one that the server knows if no
// request arrived since, and more would only use up connections of a server that does not answer.
func (a *abandoned) add(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.end {
		_ = conn.Close() // nothing is expected on it
		return
	}
	if len(a.conns) > 1 {
		_ = a.conns[1].Close() // nothing is expected on it
		a.conns = a.conns[:1]
	}
	a.conns = append(a.conns, conn)
}

// begin notes that the client is in use.
func (a *abandoned) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end = false
}

// replied closes all but the connection that a reply came on.
func (a *abandoned) replied(on net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns = slices.DeleteFunc(a.conns, func(conn net.Conn) bool {
		if conn == on {
			return false
		}
		_ = conn.Close() // nothing is expected on it
		return true
	})
}

// close closes all, and at once those that the transport gives up later.
func (a *abandoned) close() {
	a.replied(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end = true
}

// Held is a transport that sends its requests on one connection.
type Held struct {
	Live
	old *abandoned
}

// CloseIdleConnections closes the abandoned ones too.
func (t Held) CloseIdleConnections() {
	t.old.close()
	t.Live.CloseIdleConnections()
}

// RoundTrip counts a request on its connection before it is sent: a connection that closes before
// the reply counts too. The request names this end of the connection, also the first one
// on it.
func (t Held) RoundTrip(req *http.Request) (*http.Response, error) {
	t.old.begin()
	var on net.Conn
	resp, err := t.roundTrip(req, func(conn net.Conn, header http.Header) {
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if c, ok := conn.(*heldConn); ok {
			c.requests.Add(1)
			on = c.Conn
			header.Set(job.HeaderLocalAddress, c.LocalAddr().String())
		}
	})
	if err == nil {
		t.old.replied(on)
	}
	return resp, err
}

// heldConn is a connection that the transport always reads from, also while it is idle.
type heldConn struct {
	net.Conn
	Holding
	requests atomic.Int32
	ended    atomic.Bool // the other side closed it, or it broke
	noted    sync.Once   // that it is of no more use
	closing  sync.Once
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ended.CompareAndSwap(false, !errors.Is(err, os.ErrDeadlineExceeded))
		c.noteEnd()
	}
	return n, err
}

// Close is also what the transport does on its own: when a reply does not come in time, when it
// has another connection that is idle, and, without reading again, after a reply that was not read
// to its end, or when this host is so busy that it has not seen the end of the request before that
// of the reply.
func (c *heldConn) Close() (err error) {
	c.noteEnd()
	c.closing.Do(func() {
		if c.requests.Load() > 0 && !c.ended.Load() {
			c.old.add(c.Conn)
		} else {
			err = c.Conn.Close()
		}
	})
	return err
}

// noteEnd reports on cut, once, that the connection is of no more use.
func (c *heldConn) noteEnd() {
	c.noted.Do(func() {
		if c.requests.Load() < leastHeld {
			return
		}
		select {
		case c.cut <- struct{}{}:
		default: // a notification that was not read yet suffices
		}
	})
}
