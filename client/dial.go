package client

import (
	"net"
	"syscall"
	"time"
)

const (
	// dialTimeout bounds the making of a connection.
	dialTimeout = 10 * time.Second
	// deadAfter is how long a connection may stand still: nothing of what was sent is
	// acknowledged, or nobody answers on it while a reply is waited for. It is dead then, and
	// the request fails, which is made again on another one. A slow link does not stand still.
	deadAfter = 15 * time.Second
)

// dialer makes connections that fail when they stand still for a time.
func dialer(deadAfter time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout,
		// With a limit for what is unacknowledged it, and not Count, ends probing on Linux.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter / 3, Interval: deadAfter / 3, Count: 2},
		Control: func(_, _ string, conn syscall.RawConn) error {
			_ = limitUnacknowledged(conn, deadAfter) // the limits of requests are left
			return nil
		},
	}
}
