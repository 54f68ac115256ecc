package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Data makes the bytes of a file durable, and of its attributes only what reading
// them needs.
func Data(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
