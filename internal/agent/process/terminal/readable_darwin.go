package terminal

import (
	"time"

	"golang.org/x/sys/unix"
)

// readable waits until one of two descriptors can be read or has ended; second may be -1
// for none. A time below 0 is for ever. It is select because macOS has no poll for
// terminals.
func readable(first, second int, atMost time.Duration) (one, other bool) {
	var set unix.FdSet
	set.Set(first)
	if second >= 0 {
		set.Set(second)
	}
	var limit *unix.Timeval
	if atMost >= 0 {
		t := unix.NsecToTimeval(atMost.Nanoseconds())
		limit = &t
	}
	n, err := unix.Select(max(first, second)+1, &set, nil, nil, limit)
	if err != nil || n == 0 {
		return false, false // interrupted, or the time is over: the caller looks again
	}
	return set.IsSet(first), second >= 0 && set.IsSet(second)
}
