package client

import (
	"errors"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall does not have.
const tcpUserTimeout = 0x12

// limitUnacknowledged makes a connection fail on which nothing of what was sent is
// acknowledged for a time. As long as anything is, however slowly, it goes on. A kernel that
// refuses leaves the time limits of requests.
func limitUnacknowledged(conn syscall.RawConn, limit time.Duration) error {
	var refused error
	err := conn.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
	})
	return errors.Join(err, refused)
}
