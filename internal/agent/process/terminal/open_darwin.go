package terminal

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The requests for the mode of a terminal.
const getMode, setMode = unix.TIOCGETA, unix.TIOCSETA

// Open makes a pseudo-terminal: master is the agent's side, slave the job's. Reading master
// ends when the job's session ends, which is when macOS takes the terminal from everybody.
func Open(size Size) (master, slave *os.File, err error) {
	const maker = "/dev/ptmx"
	// Blocking: kqueue does not report output on this device.
	fd, err := unix.Open(maker, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pseudo-terminal: open %s: %w", maker, err)
	}
	master = os.NewFile(uintptr(fd), maker)
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	var name [128]byte // the size that the request's number names
	for _, request := range []struct {
		number uint
		arg    unsafe.Pointer
	}{
		{unix.TIOCPTYGRANT, nil},
		{unix.TIOCPTYUNLK, nil},
		{unix.TIOCPTYGNAME, unsafe.Pointer(&name)},
	} {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request.number), uintptr(request.arg)); errno != 0 {
			return nil, nil, fmt.Errorf("prepare a pseudo-terminal: %w", errno)
		}
	}
	path, _, _ := bytes.Cut(name[:], []byte{0})
	slave, err = os.OpenFile(string(path), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	if err := Resize(master, size); err != nil {
		_ = slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
