package contain

import (
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// memoryCounter reads the kernel's count of out-of-memory kills among the processes of a
// cgroup. The count includes kills for want of memory on the whole host.
type memoryCounter struct {
	dir, name string
	events    *os.File
	files     memoryFiles
	// around is set when the cgroup is not the attempt's own but the one around the agent.
	// A kill counted there is one of the job only together with a SIGKILL that the agent did not
	// send to a process of the attempt.
	outer bool

	mu    sync.Mutex
	seen  int64
	first int64 // the count when the attempt began
	last  int64 // the newest count; it stays when the cgroup is gone
}

type memoryFiles struct{ events, peak, current, limit string }

var (
	memoryV2 = memoryFiles{"memory.events", "memory.peak", "memory.current", "memory.max"}
	memoryV1 = memoryFiles{"memory.oom_control", "memory.max_usage_in_bytes", "memory.usage_in_bytes", "memory.limit_in_bytes"}
)

// newMemoryCounter picks the best counter there is, or nil.
func newMemoryCounter(c *Containment, host hierarchies) *memoryCounter {
	if c.v2 != nil {
		if m := openCounter(c.v2.dir, memoryV2, false); m != nil {
			return m
		}
	}
	if l := c.v1With("memory"); l != nil {
		if m := openCounter(l.dir, memoryV1, false); m != nil {
			return m
		}
	}
	if own, _, err := host.ownDir(""); err == nil {
		if m := openCounter(own, memoryV2, true); m != nil {
			return m
		}
	}
	if own, _, err := host.ownDir("memory"); err == nil {
		return openCounter(own, memoryV1, true)
	}
	return nil
}

func openCounter(dir string, files memoryFiles, outer bool) *memoryCounter {
	f, err := os.Open(path.Join(dir, files.events))
	if err != nil {
		return nil
	}
	m := &memoryCounter{dir: dir, name: path.Base(dir), events: f, files: files, outer: outer}
	count, ok := m.count()
	if !ok {
		f.Close()
		return nil // a v1 kernel before 4.13 does not count
	}
	m.seen, m.first, m.last = count, count, count
	return m
}

func (m *memoryCounter) close() {
	if m != nil {
		m.events.Close()
	}
}

func (m *memoryCounter) count() (int64, bool) {
	var buf [512]byte
	n, _ := m.events.ReadAt(buf[:], 0)
	return procfs.Value(buf[:n], "oom_kill")
}

// kills counts those since the attempt began, up to when the cgroup was removed.
func (m *memoryCounter) kills() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if count, ok := m.count(); ok {
		m.last = count
	}
	return max(m.last-m.first, 0)
}

// OOMKills counts the kernel's kills for want of memory in the attempt's own cgroup so far; 0
// where there is none.
func (c *Containment) OOMKills() int64 {
	if c.memory == nil || c.memory.outer {
		return 0
	}
	return c.memory.kills()
}

// proof says what was killed since the last call; nil for nothing.
func (m *memoryCounter) proof(g Group) *job.OOM {
	m.mu.Lock()
	defer m.mu.Unlock()
	count, ok := m.count()
	kills := count - m.seen
	if !ok || kills <= 0 {
		return nil
	}
	pid, name, killed := g.KilledFromOutside()
	if m.outer && !killed {
		m.seen = count
		return nil
	}
	m.seen = count
	o := &job.OOM{Kills: kills, At: time.Now().UTC()}
	o.LimitBytes = m.number(m.files.limit)
	if o.LimitBytes >= 1<<62 { // how v1 writes "no limit"
		o.LimitBytes = 0
	}
	if o.PeakBytes = m.number(m.files.peak); o.PeakBytes == 0 {
		o.PeakBytes = m.number(m.files.current) // before Linux 5.19
	}
	m.victim(o, pid, name, killed)
	return o
}

func (m *memoryCounter) number(file string) int64 {
	var buf [64]byte
	text, err := procfs.Read(path.Join(m.dir, file), buf[:])
	if err != nil {
		return 0
	}
	v, _ := procfs.Number(text)
	return v
}

// victim names the process that was killed: from the kernel's log where it may be read,
// else the process of the attempt that was killed from outside, if there is one.
func (m *memoryCounter) victim(o *job.OOM, pid int, name string, killed bool) {
	last, found := procfs.OOMKill{}, false
	readKernelLog(func(record string) {
		kill, ok := procfs.ParseOOMKill(record)
		mine := !m.outer && hasElement(kill.Memcg, m.name) || killed && kill.PID == pid
		if ok && mine {
			last, found = kill, true
		}
	})
	switch {
	case found:
		o.Victim, o.VictimPID = last.Task, last.PID
		var now unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) == nil {
			ago := time.Duration(now.Nano()) - time.Duration(last.Micros)*time.Microsecond
			if ago > 0 && ago < time.Hour {
				o.At = o.At.Add(-ago)
			}
		}
	case killed:
		o.Victim, o.VictimPID = name, pid
	}
}

func hasElement(cgroup, name string) bool {
	for element := range strings.SplitSeq(cgroup, "/") {
		if element == name {
			return true
		}
	}
	return false
}

// readKernelLog calls f for each record of the kernel's log, oldest first. Without the
// right to read it there are none. It is read only after a kill was counted.
func readKernelLog(f func(record string)) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const most = 1 << 17 // a log that grows while it is read must not hold us here
	buf := make([]byte, 8192)
	for range most {
		n, err := unix.Read(fd, buf)
		if err == unix.EPIPE || err == unix.EINTR {
			continue // overwritten while we read: go on with the oldest that is left
		}
		if err != nil || n <= 0 {
			return
		}
		f(string(buf[:n]))
	}
}
