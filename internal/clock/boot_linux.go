package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot returns the time since the host started, that in which it was suspended included. Setting a clock does not
// change it.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Duration(time.Now().UnixNano()) // a kernel without it: the wall clock goes on too
	}
	return time.Duration(ts.Nano())
}
