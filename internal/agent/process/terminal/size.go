//go:build linux || darwin

package terminal

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Size is a terminal's, in characters.
type Size struct{ Columns, Rows uint16 }

// DefaultSize is for a job whose agent has no terminal of its own.
var DefaultSize = Size{Columns: 80, Rows: 24}

// SizeOf returns the size of the first of the files that is a terminal and knows its size. Nil
// files are skipped.
func SizeOf(files ...*os.File) Size {
	for _, f := range files {
		if f == nil {
			continue
		}
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err == nil && size.Col > 0 && size.Row > 0 {
			return Size{Columns: size.Col, Rows: size.Row}
		}
	}
	return DefaultSize
}

// Resize sets the size of a pseudo-terminal; the kernel notifies the job by SIGWINCH if it has
// changed.
func Resize(master *os.File, s Size) error {
	err := control(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: s.Columns, Row: s.Rows})
	})
	if err != nil {
		return fmt.Errorf("set the job's terminal to %d columns and %d rows: %w", s.Columns, s.Rows, err)
	}
	return nil
}

// control calls f with the descriptor and leaves the file's mode alone, unlike Fd.
func control(f *os.File, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	if err := conn.Control(func(fd uintptr) { callErr = call(int(fd)) }); err != nil {
		return err
	}
	return callErr
}
