//go:build linux || darwin

package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// movedDescriptors is how many descriptors the runtime of Go puts, in a new child, right above the highest
// that the child is given.
const movedDescriptors = 5

// aboveInherited keeps the runtime's moves in a child away from descriptors that the child inherits: the
// last of the files is replaced by a copy with a number above which all is free. done closes it.
// Where no such number can be had, files are returned as they are.
func aboveInherited(files []*os.File) (with []*os.File, done func()) {
	highest := 2
	for _, f := range files {
		highest = max(highest, int(f.Fd()))
	}
	least := highest
	for isInherited(least, movedDescriptors) {
		least++
	}
	if least == highest {
		return files, func() {}
	}
	last := len(files) - 1
	for {
		fd, err := unix.FcntlInt(files[last].Fd(), unix.F_DUPFD_CLOEXEC, least)
		if err != nil {
			return files, func() {} // the limit of descriptors is near
		}
		if !isInherited(fd, movedDescriptors) {
			with = append(append(with, files[:last]...), os.NewFile(uintptr(fd), files[last].Name()))
			return with, func() { with[last].Close() }
		}
		_ = unix.Close(fd)
		least = fd + 1
	}
}

// isInherited reports whether a child would inherit one of the n descriptors above fd.
func isInherited(fd, n int) bool {
	for i := fd + 1; i <= fd+n; i++ {
		if flags, err := unix.FcntlInt(uintptr(i), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			return true
		}
	}
	return false
}
