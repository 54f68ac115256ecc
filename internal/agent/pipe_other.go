//go:build !linux

package agent

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// bytesWaiting is the ioctl that returns how many bytes can be read (FIONREAD).
const bytesWaiting = 0x4004667f

// enlarge is not possible here: the kernel sizes its pipes itself.
func enlarge(*os.File, int) (int, error) { return 0, errors.ErrUnsupported }

// blockingPipe is the standard library's pipe: here the poller costs a writer nothing.
func blockingPipe() (r, w *os.File, err error) { return os.Pipe() }

// dupTo makes the descriptor to a copy of from.
func dupTo(from, to int) error { return unix.Dup2(from, to) }
