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

// endCause is why a connection ended, which net/http does not report.
type endCause int32

const (
	endUnknown endCause = iota // this server closed it, or it has not ended
	endPeer                    // the other side closed or reset it
	endSilent                  // the other side stopped answering
)

// causeOf returns why a connection ended from an error of Read or Write. It is unknown after a deadline,
// or when this server closed the connection.
func causeOf(err error) endCause {
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
		return endUnknown
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return endPeer
	}
	return endSilent // ETIMEDOUT of keep-alive probes, or an unreachable network
}

// watchedListener accepts connections as watchedConns.
type watchedListener struct {
	net.Listener
	// admit takes a place for a connection; false if there is none, and the connection is closed.
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

// watchedConn is a connection that records why it ended, and which attempts used it.
type watchedConn struct {
	net.Conn
	// peer returns the process at the other end. It asks the operating system once.
	peer func() access.Peer
	// cause is an endCause, from the first error: the kernel reports the error of a connection once,
	// and the end of the data afterwards.
	cause atomic.Int32
	place connPlace

	// Guarded by Agents.mu:
	closed  bool
	carried []*Traffic
	keptRun string // the run whose agent keeps it open
	pooled  bool   // it has carried heartbeats of several runs, so it belongs to a proxy
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.recordCause(err)
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.recordCause(err)
	return n, err
}

// recordCause records the cause of the first error that has one.
func (c *watchedConn) recordCause(err error) {
	if cause := causeOf(err); cause != endUnknown {
		c.cause.CompareAndSwap(int32(endUnknown), int32(cause))
	}
}

// CloseWrite lets net/http end a response before it closes the connection.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// heartbeatKeepAlive detects within some six seconds that a host is gone, for one small packet every
// three seconds.
var heartbeatKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second, Interval: time.Second, Count: 3}

// keepAlive enables keep-alive probes on a connection of heartbeats.
func (c *watchedConn) keepAlive() {
	if tcp, ok := c.Conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		_ = tcp.SetKeepAliveConfig(heartbeatKeepAlive) // without probes the lease still ends
	}
}

// watchedConnOf returns the watchedConn of a connection that net/http passes to its hooks, also below
// TLS; nil if there is none.
func watchedConnOf(conn net.Conn) *watchedConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	watched, _ := conn.(*watchedConn)
	return watched
}
