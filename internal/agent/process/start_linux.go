package process

import (
	"os"

	"golang.org/x/sys/unix"
)

const maxRSSUnit = 1024 // ru_maxrss is in KiB

func onMainThread() bool { return unix.Gettid() == unix.Getpid() }

// unnamedFile makes a file in memory; nil where the kernel makes none.
func unnamedFile() *os.File {
	fd, err := unix.MemfdCreate("null", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), os.DevNull)
}
