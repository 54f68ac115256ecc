//go:build !linux

package client

import (
	"syscall"
	"time"
)

// limitUnacknowledged does nothing: only the time limits of requests end a connection that is
// dead.
func limitUnacknowledged(syscall.RawConn, time.Duration) error { return nil }
