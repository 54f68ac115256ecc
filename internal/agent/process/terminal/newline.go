//go:build linux || darwin

package terminal

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// AddsReturn reports whether a file is a terminal that writes "\r\n" for each "\n" it gets, as
// one does until a program makes it raw. nil is none.
func AddsReturn(f *os.File) bool {
	if f == nil {
		return false
	}
	mode, err := unix.IoctlGetTermios(int(f.Fd()), getMode)
	return err == nil && mode.Oflag&unix.OPOST != 0 && mode.Oflag&unix.ONLCR != 0
}

// LeaveReturn makes a pseudo-terminal pass "\n" on as it is, for a terminal that adds the
// return.
func LeaveReturn(slave *os.File) error {
	mode, err := unix.IoctlGetTermios(int(slave.Fd()), getMode)
	if err == nil {
		mode.Oflag &^= unix.ONLCR
		err = unix.IoctlSetTermios(int(slave.Fd()), setMode, mode)
	}
	if err != nil {
		return fmt.Errorf("set the mode of the job's terminal: %w", err)
	}
	return nil
}
