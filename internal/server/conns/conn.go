package conns

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/access"
)

// endCause says why a connection ended. net/http tells only that it did.
type endCause int32

const (
	endUnknown endCause = iota // this server closed it, or has not seen an end
	endPeer                    // the other side closed or reset it
	endSilent                  // the other side stopped answering
)

// causeOf reads the end of a connection off an error of Read or Write. A deadline that
// passed and a connection that this server closed itself say nothing of the other side.
func causeOf(err error) endCause {
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
		return endUnknown
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return endPeer
	}
	return endSilent // ETIMEDOUT of keep-alive, or an unreachable network
}

// watchedListener accepts connections that remember why they ended.
type watchedListener struct {
	net.Listener
	// admit finds a place for a connection, or closes it.
	admit func(*watchedConn) bool
}

func (l watchedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &watchedConn{Conn: conn, peer: sync.OnceValue(func() access.Peer { return access.PeerOf(conn) })}
		if l.admit == nil || l.admit(c) {
			return c, nil
		}
	}
}

// watchedConn is a connection that remembers why it ended, and what it carried.
type watchedConn struct {
	net.Conn
	// peer asks the system, once, which user the other end belongs to.
	peer func() access.Peer
	// cause is that of the first error: the kernel tells a connection's error once, and
	// a plain end of the data afterwards.
	cause atomic.Int32
	place connPlace

	// Of Agents.mu:
	closed  bool
	carried []*Traffic
	keptRun string // the run whose agent holds it
	pooled  bool   // it carried heartbeats of several runs: a proxy's, not an agent's
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.note(err)
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.note(err)
	return n, err
}

func (c *watchedConn) note(err error) {
	if cause := causeOf(err); cause != endUnknown {
		c.cause.CompareAndSwap(int32(endUnknown), int32(cause))
	}
}

// CloseWrite lets net/http end an answer before it closes the connection.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// heldKeepAlive makes a host that vanished show as a connection that timed out after some
// six seconds, for one small packet every three seconds.
var heldKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second, Interval: time.Second, Count: 3}

// keepAlive watches a connection on which heartbeats come.
func (c *watchedConn) keepAlive() {
	if tcp, ok := c.Conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		_ = tcp.SetKeepAliveConfig(heldKeepAlive) // without it the lease alone tells
	}
}

// watchedConnOf finds the connection that net/http hands to its hooks, also below TLS.
func watchedConnOf(conn net.Conn) *watchedConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	watched, _ := conn.(*watchedConn)
	return watched
}
