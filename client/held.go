package client

import (
	"context"
	"net"
	"net/http"
)

// HeartbeatsCut tells when a connection closed that carried heartbeats. An agent that
// beats again at once shows that it lives; a reader that is late misses nothing but how
// often it happened.
func (c *Client) HeartbeatsCut() <-chan struct{} { return c.cut }

// holding makes a transport tell when a connection of its closes.
func holding(t *http.Transport, cut chan<- struct{}) *http.Transport {
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
