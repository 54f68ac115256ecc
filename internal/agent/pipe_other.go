//go:build !linux

package agent

import (
	"errors"
	"os"
)

// enlarge is not possible here: the kernel sizes its pipes itself.
func enlarge(*os.File, int) (int, error) { return 0, errors.ErrUnsupported }

// blockingPipe is the standard library's pipe: here the poller costs a writer nothing.
func blockingPipe() (r, w *os.File, err error) { return os.Pipe() }
