package terminal

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The requests for the mode of a terminal.
const getMode, setMode = unix.TCGETS, unix.TCSETS

// Open makes a pseudo-terminal: master is the agent's side and supports deadlines, slave the
// job's. Reading master ends with EIO when no process has slave open.
func Open(size Size) (master, slave *os.File, err error) {
	const maker = "/dev/ptmx"
	fd, err := unix.Open(maker, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pseudo-terminal: open %s: %w", maker, err)
	}
	master = os.NewFile(uintptr(fd), maker)
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock a pseudo-terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for the number of a pseudo-terminal: %w", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	if err := Resize(master, size); err != nil {
		_ = slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
