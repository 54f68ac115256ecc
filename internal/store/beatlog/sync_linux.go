package beatlog

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the bytes of a file durable, and of its attributes only what reading
// them needs.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
