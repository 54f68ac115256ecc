package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged reports whether bytes, or a probe of a peer that takes none, wait for their
// acknowledgement on a connection, and its peer has acknowledged nothing for a time.
func unacknowledged(conn net.Conn, long time.Duration) bool {
	raw := rawConn(conn)
	if raw == nil {
		return false
	}
	var info *unix.TCPInfo
	err := raw.Control(func(fd uintptr) {
		info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) // nil is checked
	})
	return err == nil && info != nil && (info.Unacked > 0 || info.Probes > 0) &&
		time.Duration(info.Last_ack_recv)*time.Millisecond >= long
}
