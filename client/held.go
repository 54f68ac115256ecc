package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"stint.dev/stint/job"
)

const (
	// smallAppend is the most that an append brings on the connection of heartbeats, so
	// that a server of many agents has one connection of each instead of two.
	smallAppend = 64 << 10
	// turnTime is how long a heartbeat or a small append waits for the other's answer.
	turnTime = time.Second
	// heldIdle is longer than any pause between two heartbeats; callsIdle keeps other
	// connections while much is sent.
	heldIdle  = 5*time.Minute + 30*time.Second
	callsIdle = 30 * time.Second
)

// HeartbeatsCut tells when a connection closed that had carried two requests or more,
// heartbeats or small appends. An agent that beats again at once shows that it lives; a
// reader that is late misses nothing but how often it happened. A connection that carried
// one request is not missed: some proxies close each after its answer.
func (c *Client) HeartbeatsCut() <-chan struct{} { return c.holding.cut }

// takeTurn waits for the held connection to be free, and reports false where that takes
// too long. Who has got it gives it back.
func (c *Client) takeTurn(ctx context.Context) bool {
	select {
	case c.turn <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(turnTime)
	defer timer.Stop()
	select {
	case c.turn <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (c *Client) giveTurn() { <-c.turn }

// leastHeld is how many requests a connection must have carried to be missed.
const leastHeld = 2

// holding holds one connection.
type holding struct{ cut chan struct{} }

// transport makes a transport hold its connection.
func (h holding) transport(t liveTransport) heldTransport {
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 1, heldIdle
	redial := &redialer{dial: t.DialContext}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := redial.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &heldConn{Conn: conn, cut: h.cut}, nil
	}
	return heldTransport{t}
}

// heldTransport sends the requests on the held connection.
type heldTransport struct{ liveTransport }

// RoundTrip counts a request on its connection before it is sent: one that closes before the
// answer was missed as well. The request names this end of the connection, also the first one
// on it.
func (t heldTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.roundTrip(req, func(conn net.Conn, header http.Header) {
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if c, ok := conn.(*heldConn); ok {
			c.requests.Add(1)
			header.Set(job.HeaderLocalAddress, c.LocalAddr().String())
		}
	})
}

// heldConn is a connection that the transport always reads from, also while it is idle.
type heldConn struct {
	net.Conn
	cut      chan<- struct{}
	requests atomic.Int32
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.closed()
	}
	return n, err
}

// Close is also what the transport does on its own, between two requests and without reading
// again: after a reply that was not read to its end, or when this host is so busy that it has
// not seen the end of the request before that of the reply.
func (c *heldConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// closed notes that the connection ended. Only the first call has an effect.
func (c *heldConn) closed() {
	if c.requests.Swap(0) < leastHeld {
		return
	}
	select {
	case c.cut <- struct{}{}:
	default: // one that was not read yet says the same
	}
}
