// Package transporttest has connections for tests of clients, without a network.
package transporttest

import (
	"context"
	"net"
)

// Pipes are a listener and a dialer of connections that no packet crosses before a moment.
type Pipes struct {
	Open     chan struct{} // the caller closes it at that moment
	accepted chan net.Conn
	closed   chan struct{}
}

// NewPipes makes pipes that no packet crosses yet.
func NewPipes() Pipes {
	return Pipes{make(chan struct{}), make(chan net.Conn), make(chan struct{})}
}

// Accept implements net.Listener.
func (p Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p Pipes) Close() error { close(p.closed); return nil }

// Addr implements net.Listener.
func (p Pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Dial makes a connection to the listener.
func (p Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-p.Open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	select {
	case p.accepted <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
