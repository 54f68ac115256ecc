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

// ReadStat reads /proc/PID/stat. Without a usable /proc it fills in what system calls return: PID,
// PGRP and Session.
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
	if err != nil {
		return err
	}
	return ParseStat(text, s)
}

func askStat(pid int, s *Stat) (err error) {
	*s = Stat{PID: pid, State: '?'}
	if s.PGRP, err = unix.Getpgid(pid); err != nil {
		return err
	}
	s.Session, err = unix.Getsid(pid)
	return err
}

// Scanner looks at every process of the host, reusing its memory from scan to scan.
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
