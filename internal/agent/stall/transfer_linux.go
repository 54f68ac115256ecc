package stall

import (
	"strconv"

	"stint.dev/stint/internal/agent/process/procfs"
)

// transferredBytes returns what a process has read and written in bytes, caches and pipes
// included.
func transferredBytes(pid int) (bytes int64, ok bool) {
	var buf [512]byte
	text, err := procfs.Read("/proc/"+strconv.Itoa(pid)+"/io", buf[:])
	if err != nil {
		return 0, false
	}
	read, ok1 := procfs.Value(text, "rchar")
	written, ok2 := procfs.Value(text, "wchar")
	return read + written, ok1 && ok2
}
