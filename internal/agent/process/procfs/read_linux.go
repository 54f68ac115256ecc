package procfs

import (
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Read fills buf from the start of a small file. It uses raw system calls: the os package
// would register each file with its poller, which costs more than the read. A text longer
// than buf is cut.
func Read(path string, buf []byte) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, buf) })
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// ReadWhole reads a file of any length; in one go if it fits into size bytes.
func ReadWhole(path string, size int) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text := make([]byte, 0, size)
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, text[len(text):cap(text)]) })
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return text, nil
		}
		if text = text[:len(text)+n]; len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
	}
}

// Usable returns nil if /proc is that of this process's PID namespace, and else ErrForeign.
var Usable = sync.OnceValue(func() error {
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return ErrForeign
	}
	return nil
})

// Hides reports whether /proc may hide processes from this one: see HidesProcesses.
var Hides = sync.OnceValue(func() bool {
	text, err := ReadWhole("/proc/self/mountinfo", 16<<10)
	return err != nil || HidesProcesses(string(text))
})

// ReadStat reads /proc/PID/stat. Without a usable /proc, and for a process that /proc hides, it fills
// in what system calls return: PID, PGRP and Session; Hidden is true then.
func ReadStat(pid int, s *Stat) error {
	if Usable() != nil {
		return askStat(pid, s)
	}
	var path [32]byte
	var buf [1024]byte
	p := append(path[:0], "/proc/"...)
	p = strconv.AppendInt(p, int64(pid), 10)
	p = append(p, "/stat"...)
	text, err := Read(string(p), buf[:])
	switch {
	case err == nil:
		return ParseStat(text, s)
	case isHidden(pid, err):
		return askStat(pid, s)
	}
	return err
}

// isHidden reports whether a process lives, or waits to be reaped, although its directory in /proc
// cannot be read because of err. The errors are EPERM with hidepid=1, and ENOENT with others.
func isHidden(pid int, err error) bool {
	refused := err == unix.EPERM || err == unix.EACCES || err == unix.ENOENT
	return refused && Hides() && unix.Kill(pid, 0) != unix.ESRCH
}

// Children returns the children of a process, hidden ones too. It returns none where the process
// itself is hidden, or the kernel does not list children (CONFIG_PROC_CHILDREN).
func Children(pid int) (pids []int) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, thread := range threads {
		text, err := ReadWhole(dir+thread.Name()+"/children", 512)
		if err == nil { // else the thread has ended
			pids = PIDs(pids, text)
		}
	}
	return pids
}

func askStat(pid int, s *Stat) (err error) {
	*s = Stat{PID: pid, State: '?', Hidden: true}
	if s.PGRP, err = unix.Getpgid(pid); err != nil {
		return err
	}
	s.Session, err = unix.Getsid(pid)
	return err
}

// Scanner reads the state of every process of the host, reusing its memory from scan to scan.
type Scanner struct {
	buf   []byte
	Stats []Stat // the result of the last Scan
}

// Scan fills Stats. A process that ends meanwhile is left out. It returns ErrForeign without a
// usable /proc.
func (sc *Scanner) Scan() error {
	if err := Usable(); err != nil {
		return err
	}
	if sc.buf == nil {
		sc.buf = make([]byte, 32<<10)
	}
	sc.Stats = sc.Stats[:0]
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var names []string
	for {
		n, err := unix.ReadDirent(fd, sc.buf)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		_, _, names = unix.ParseDirent(sc.buf[:n], -1, names[:0])
		for _, name := range names {
			pid, ok := number([]byte(name))
			if !ok {
				continue
			}
			var s Stat
			if ReadStat(int(pid), &s) == nil {
				sc.Stats = append(sc.Stats, s)
			}
		}
	}
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
