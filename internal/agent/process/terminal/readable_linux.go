package terminal

import (
	"time"

	"golang.org/x/sys/unix"
)

// readable waits until one of two descriptors can be read or has ended; second may be -1
// for none. A time below 0 is for ever.
func readable(first, second int, atMost time.Duration) (one, other bool) {
	fds := []unix.PollFd{{Fd: int32(first), Events: unix.POLLIN}, {Fd: int32(second), Events: unix.POLLIN}}
	limit := -1
	if atMost >= 0 {
		limit = int(atMost.Milliseconds())
	}
	n, err := unix.Poll(fds, limit)
	if err != nil || n == 0 {
		return false, false // interrupted, or the time is over: the caller looks again
	}
	return fds[0].Revents != 0, fds[1].Revents != 0
}
