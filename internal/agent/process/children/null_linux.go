package children

import (
	"os"

	"golang.org/x/sys/unix"
)

// unnamedFile makes a file in memory; nil where the kernel makes none.
func unnamedFile() *os.File {
	fd, err := unix.MemfdCreate("null", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), os.DevNull)
}
