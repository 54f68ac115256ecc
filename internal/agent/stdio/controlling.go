package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

// HasTerminal reports whether this process has a controlling terminal that still answers.
func HasTerminal() bool {
	f, err := openControlling()
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// InForeground reports whether this process is in the foreground of its controlling terminal.
func InForeground() bool {
	f, err := openControlling()
	if err != nil {
		return false
	}
	defer f.Close()
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// openControlling opens the controlling terminal, without waiting for it.
func openControlling() (*os.File, error) {
	return os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}
