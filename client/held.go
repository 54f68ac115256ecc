package client

import (
	"context"
	"net"
	"net/http"
	"time"
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

// HeartbeatsCut tells when a connection closed that carried heartbeats. An agent that
// beats again at once shows that it lives; a reader that is late misses nothing but how
// often it happened.
func (c *Client) HeartbeatsCut() <-chan struct{} { return c.cut }

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

// holding makes a transport keep one connection, and tell when it closes.
func holding(t *http.Transport, cut chan<- struct{}) *http.Transport {
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 1, heldIdle
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &heldConn{Conn: conn, cut: cut}, nil
	}
	return t
}

// heldConn is a connection that the transport always reads from, also while it is idle.
type heldConn struct {
	net.Conn
	cut chan<- struct{}
}

func (h *heldConn) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if err != nil {
		select {
		case h.cut <- struct{}{}:
		default: // one that was not read yet says the same
		}
	}
	return n, err
}
