package watch

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// finisher is what a watcher needs to finish an attempt.
type finisher struct {
	shell    string   // the path of the shell that runs it
	program  *os.File // the agent's own
	settings *os.File
	private  *os.File // what shell leads to; nil for the system's shell
}

func (f *finisher) close() {
	for _, file := range []*os.File{f.program, f.settings, f.private} {
		if file != nil {
			_ = file.Close() // nothing was written that could be lost
		}
	}
}

func openFinisher(what *Finish) (_ *finisher, err error) {
	f := &finisher{shell: "/bin/sh"}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.program, err = os.Open("/proc/self/exe"); err != nil {
		return nil, err
	}
	if f.settings, err = memoryFile("settings", 0); err != nil {
		return nil, err
	}
	if _, err = f.settings.WriteAt(what.Settings, 0); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 { // root's processes may read each other anyway
		if f.private, err = privateProgram("/bin/sh"); err != nil {
			return nil, err
		}
		f.shell = fmt.Sprintf("/proc/self/fd/%d", f.private.Fd())
	}
	return f, nil
}

// privateProgram returns a copy of a program in memory that may be executed and not read. Other
// processes of its user cannot inspect a process that executes it: the kernel protects the text
// of such a program, and its memory and descriptors with it.
func privateProgram(path string) (*os.File, error) {
	program, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	const exec = unix.MFD_EXEC // where the system asks for it; kernels before 6.3 do not know it
	writer, err := memoryFile("sh", exec)
	if errors.Is(err, unix.EINVAL) {
		writer, err = memoryFile("sh", 0)
	}
	if err != nil {
		return nil, err
	}
	defer writer.Close() // what is open for writing cannot be executed
	if _, err := io.Copy(writer, program); err != nil {
		return nil, err
	}
	if err := writer.Chmod(0o500); err != nil {
		return nil, err
	}
	reader, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", writer.Fd()))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	if err := reader.Chmod(0o100); err != nil {
		return nil, err
	}
	// Far from the numbers that a child's own descriptors take.
	fd, err := unix.FcntlInt(reader.Fd(), unix.F_DUPFD_CLOEXEC, 64)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func memoryFile(name string, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate("stint-"+name, unix.MFD_CLOEXEC|flags)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
