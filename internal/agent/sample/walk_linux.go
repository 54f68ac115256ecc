package sample

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

var pageSize = int64(os.Getpagesize())

// walk adds up the processes of an attempt.
type walk struct {
	ticks     uint64
	rssPages  int64
	processes int
	threads   int
	read      int64
	written   int64

	io  ioFiles
	buf [512]byte
}

func (w *walk) reset() {
	if w.io == nil {
		w.io = ioFiles{}
	}
	w.ticks, w.rssPages, w.processes, w.threads, w.read, w.written = 0, 0, 0, 0, 0, 0
}

// add counts one process. One that has ended and was not waited for yet has used CPU time
// too, which is counted nowhere else.
func (w *walk) add(s *procfs.Stat) {
	w.ticks += s.CPUTicks()
	if s.Dead() {
		return
	}
	w.processes++
	w.threads += s.Threads
	w.rssPages += s.RSSPages
	r, wr := w.io.readMoved(s.PID, s.CPUTicks(), w.buf[:])
	w.read += r
	w.written += wr
}

// finish puts into s what no cgroup accounts for. Memory is the sum of the resident sets, in
// which pages that processes share are counted once for each.
func (w *walk) finish(ended process.Usage, s *job.Sample, k filled) {
	w.io.prune()
	if !k.cpu {
		s.CPUSeconds = float64(w.ticks)/procfs.Ticks + ended.CPUSeconds
	}
	if !k.memory {
		s.MemoryBytes = w.rssPages * pageSize
	}
	if !k.count {
		s.Processes, s.Threads = w.processes, w.threads
	}
	if !k.io {
		s.ReadBytes, s.WriteBytes = w.read+ended.ReadBytes, w.written+ended.WriteBytes
	}
}

func (w *walk) close() { w.io.close() }

// ioFiles holds /proc/PID/io of known processes open: the file belongs to the process and
// not to its number, so a number that is used again shows as a failed read.
type ioFiles map[int]*ioFile

type ioFile struct {
	fd   int
	seen bool

	ticks         uint64 // of CPU at the last reading; what that found
	read, written int64
	skipped       int
}

// maxSkipped is how often the file of a process is not read whose CPU time, in ticks of
// 10 ms, has not moved: what it has moved in less than a tick shows at the next reading,
// or in what the wait for it returns.
const maxSkipped = 3

// readMoved is read, of a process that has used so many ticks of CPU.
func (f ioFiles) readMoved(pid int, ticks uint64, buf []byte) (read, written int64) {
	if file := f[pid]; file != nil && file.ticks == ticks && file.skipped < maxSkipped {
		file.skipped++
		file.seen = true
		return file.read, file.written
	}
	read, written = f.read(pid, buf)
	if file := f[pid]; file != nil {
		file.ticks, file.read, file.written, file.skipped = ticks, read, written, 0
	}
	return read, written
}

// maxIOFiles bounds the descriptors held; further processes are opened at each sample.
const maxIOFiles = 1024

// read returns what a process, with the children that it waited for, has moved from and to
// storage. It is 0 where the system does not show it (another user's process).
func (f ioFiles) read(pid int, buf []byte) (read, written int64) {
	file := f[pid]
	for range 2 {
		if file == nil {
			fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/io", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return 0, 0
			}
			file = &ioFile{fd: fd}
		}
		n, err := unix.Pread(file.fd, buf, 0)
		if err != nil || n <= 0 {
			unix.Close(file.fd)
			delete(f, pid)
			if err == unix.EACCES || err == unix.EPERM {
				return 0, 0
			}
			file = nil
			continue
		}
		file.seen = true
		if len(f) < maxIOFiles || f[pid] != nil {
			f[pid] = file
		} else {
			unix.Close(file.fd)
		}
		read, _ = procfs.Value(buf[:n], "read_bytes")
		written, _ = procfs.Value(buf[:n], "write_bytes")
		return read, written
	}
	return 0, 0
}

// prune closes the files of processes that were not asked for since the last prune.
func (f ioFiles) prune() {
	for pid, file := range f {
		if !file.seen {
			unix.Close(file.fd)
			delete(f, pid)
			continue
		}
		file.seen = false
	}
}

func (f ioFiles) close() {
	for pid, file := range f {
		unix.Close(file.fd)
		delete(f, pid)
	}
}
