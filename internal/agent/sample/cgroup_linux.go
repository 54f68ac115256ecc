package sample

import (
	"bytes"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// The kernel renews pressure every 2 s, and the text of memory.stat costs more than all
// the rest of a sample together: both are read again only when they can have changed.
const (
	pressureEvery = 2 * time.Second
	detailEvery   = 4 * time.Second
	detailStep    = 16 // of memory: when it has changed by a sixteenth
	nearLimit     = 4  // or whenever it has changed, in the last quarter of the limit
	// idleLimit bounds how long processes are not counted because they use no CPU time: one
	// may have been moved.
	idleLimit = 30 * time.Second
)

// cgroup reads the accounting files of an attempt's cgroups through descriptors that stay
// open. A descriptor is -1 where the kernel has no such file.
type cgroup struct {
	v2                    bool // the memory files are those of v2
	cpuStat, cpuacct      int
	current, stat, peak   int
	procs, threads        int
	ioStat                int
	psiCPU, psiMem, psiIO int
	v1Dir                 string // lists the processes where there is no v2 leaf
	outerLimit            int64  // of the cgroups around the attempt's; 0 is none
	dir                   string

	buf        []byte
	pids       []int
	io         ioFiles
	detailAt   time.Time
	detailOf   int64 // memory usage at that time
	detail     detail
	counts     counts
	pressureAt time.Time
	pressure   *job.Pressure
}

// counts is the result of the last reading of each process.
type counts struct {
	at                 time.Time
	cpu                float64
	processes, threads int
	read, written      int64 // by those that live
}

// detail is the content of memory.stat, and the limit.
type detail struct{ reclaimable, cache, limit int64 }

func openCgroup(s Source) *cgroup {
	v2, memory, cpuacct := s.CgroupDir("cgroup2"), s.CgroupDir("memory"), s.CgroupDir("cpuacct")
	if v2 == "" && memory == "" && cpuacct == "" {
		return nil
	}
	c := &cgroup{buf: make([]byte, 16<<10), io: ioFiles{}}
	c.cpuStat, c.ioStat = open(v2, "cpu.stat"), open(v2, "io.stat")
	c.psiCPU, c.psiMem, c.psiIO = open(v2, "cpu.pressure"), open(v2, "memory.pressure"), open(v2, "io.pressure")
	c.cpuacct = open(cpuacct, "cpuacct.usage")
	c.current, c.dir, c.v2 = open(v2, "memory.current"), v2, true
	if c.current >= 0 {
		c.stat, c.peak = open(v2, "memory.stat"), open(v2, "memory.peak")
		c.outerLimit = outerLimit(v2)
	} else {
		c.v2, c.dir = false, memory
		c.current, c.stat = open(memory, "memory.usage_in_bytes"), open(memory, "memory.stat")
		c.peak = open(memory, "memory.max_usage_in_bytes")
	}
	if v2 != "" {
		c.procs, c.threads = open(v2, "cgroup.procs"), open(v2, "cgroup.threads")
	} else {
		c.procs, c.threads = -1, -1
		if c.v1Dir = memory; c.v1Dir == "" {
			c.v1Dir = cpuacct
		}
	}
	return c
}

func open(dir, file string) int {
	if dir == "" {
		return -1
	}
	fd, err := unix.Open(path.Join(dir, file), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

func (c *cgroup) close() {
	if c == nil {
		return
	}
	for _, fd := range []*int{
		&c.cpuStat, &c.cpuacct, &c.current, &c.stat, &c.peak, &c.procs, &c.threads,
		&c.ioStat, &c.psiCPU, &c.psiMem, &c.psiIO,
	} {
		closeFD(fd)
	}
	c.io.close()
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

// read fills in what the cgroups account for.
func (c *cgroup) read(s *job.Sample, ended process.Usage) (k filled) {
	if c == nil {
		return k
	}
	k.cpu = c.readCPU(s)
	k.memory = c.readMemory(s)
	still := k.cpu && s.CPUSeconds == c.counts.cpu && s.At.Sub(c.counts.at) < idleLimit && !c.counts.at.IsZero()
	if still {
		// No process has used any CPU time: so none was made, has ended, or has moved a byte.
		k.count = true
	} else if k.count = c.readCounts(); k.count {
		c.counts.at, c.counts.cpu = s.At, s.CPUSeconds
	}
	s.Processes, s.Threads = c.counts.processes, c.counts.threads
	k.io = c.readIO(s, ended, k.count, still)
	c.readPressure(s)
	return k
}

func (c *cgroup) readCPU(s *job.Sample) bool {
	if v, ok := procfs.Value(c.text(c.cpuStat), "usage_usec"); ok {
		s.CPUSeconds = float64(v) / 1e6
		return true
	}
	if v, ok := procfs.Number(c.text(c.cpuacct)); ok {
		s.CPUSeconds = float64(v) / 1e9
		return true
	}
	return false
}

func (c *cgroup) readMemory(s *job.Sample) bool {
	usage, ok := procfs.Number(c.text(c.current))
	if !ok {
		return false
	}
	if c.detailAt.IsZero() || s.At.Sub(c.detailAt) >= detailEvery || c.detail.isOld(c.detailOf, usage) {
		c.detailAt, c.detailOf, c.detail = s.At, usage, c.readDetail()
	}
	s.MemoryBytes = max(usage-c.detail.reclaimable, 0)
	s.CacheBytes, s.LimitBytes = c.detail.cache, c.detail.limit
	s.PeakBytes, _ = procfs.Number(c.text(c.peak))
	return true
}

// isOld reports whether details that were read at one usage do not do for another. Near the
// limit a file that was read meanwhile must not look like memory in use.
func (d detail) isOld(before, usage int64) bool {
	change := max(usage-before, before-usage)
	near := d.limit > 0 && usage-d.reclaimable > d.limit-d.limit/nearLimit
	return change > before/detailStep || change > 0 && near
}

// reclaimable returns how much of a cgroup's usage the kernel frees when memory is
// needed: the cache of files, active or not, but for what must be written first. Files in
// tmpfs are not among it.
func reclaimable(stat []byte, v2 bool) int64 {
	active, inactive, dirty, writeback := "total_active_file", "total_inactive_file", "total_dirty", "total_writeback"
	if v2 {
		active, inactive, dirty, writeback = "active_file", "inactive_file", "file_dirty", "file_writeback"
	}
	sum := int64(0)
	for name, sign := range map[string]int64{active: 1, inactive: 1, dirty: -1, writeback: -1} {
		v, _ := procfs.Value(stat, name) // an old kernel may not have all of them
		sum += sign * v
	}
	return max(sum, 0)
}

func (c *cgroup) readDetail() (d detail) {
	text := c.text(c.stat)
	d.reclaimable = reclaimable(text, c.v2)
	if !c.v2 {
		d.cache, _ = procfs.Value(text, "total_cache")
		d.limit, _ = procfs.Value(text, "hierarchical_memory_limit")
		if d.limit >= 1<<62 { // how v1 writes "none"
			d.limit = 0
		}
		return d
	}
	d.cache, _ = procfs.Value(text, "file")
	own := readNumber(path.Join(c.dir, "memory.max"), c.buf)
	if d.limit = c.outerLimit; own > 0 && (d.limit == 0 || own < d.limit) {
		d.limit = own
	}
	return d
}

// outerLimit returns the tightest memory limit of the cgroups around dir.
func outerLimit(dir string) (limit int64) {
	buf := make([]byte, 64)
	for up := path.Dir(dir); ; up = path.Dir(up) {
		text, err := procfs.Read(path.Join(up, "memory.max"), buf)
		if err != nil { // the root of the hierarchy has no such file
			return limit
		}
		if v, ok := procfs.Number(text); ok && (limit == 0 || v < limit) {
			limit = v
		}
	}
}

func readNumber(file string, buf []byte) int64 {
	text, err := procfs.Read(file, buf)
	if err != nil {
		return 0
	}
	v, _ := procfs.Number(text)
	return v
}

func (c *cgroup) readCounts() bool {
	if c.v1Dir != "" {
		return c.readCountsV1()
	}
	return c.count(c.procs, c.threads)
}

func (c *cgroup) count(procs, threads int) bool {
	c.counts.processes, c.counts.threads = 0, 0
	if procs < 0 {
		return false
	}
	c.pids = c.pids[:0]
	c.each(procs, func(text []byte) { c.pids = procfs.PIDs(c.pids, text) })
	c.counts.processes = len(c.pids)
	c.each(threads, func(text []byte) { c.counts.threads += bytes.Count(text, newline) })
	return true
}

// readCountsV1 opens the lists anew: through an open descriptor, cgroup v1 goes on giving
// the list of the first read.
func (c *cgroup) readCountsV1() bool {
	procs, threads := open(c.v1Dir, "cgroup.procs"), open(c.v1Dir, "tasks")
	defer closeFD(&procs)
	defer closeFD(&threads)
	return c.count(procs, threads)
}

var newline = []byte{'\n'}

// readIO takes the cgroup's own account, or else sums up over its processes, which is
// cheap as long as they are known. What ended comes from the waits for it.
func (c *cgroup) readIO(s *job.Sample, ended process.Usage, listed, still bool) bool {
	if text := c.text(c.ioStat); c.ioStat >= 0 {
		s.ReadBytes, s.WriteBytes = procfs.IOStat(text)
		return true
	}
	if !listed {
		return false
	}
	if !still {
		c.counts.read, c.counts.written = 0, 0
		for _, pid := range c.pids {
			r, w := c.io.read(pid, c.buf)
			c.counts.read += r
			c.counts.written += w
		}
		c.io.prune()
	}
	s.ReadBytes, s.WriteBytes = ended.ReadBytes+c.counts.read, ended.WriteBytes+c.counts.written
	return true
}

func (c *cgroup) readPressure(s *job.Sample) {
	if c.psiCPU < 0 && c.psiMem < 0 && c.psiIO < 0 {
		return
	}
	if c.pressureAt.IsZero() || s.At.Sub(c.pressureAt) >= pressureEvery {
		c.pressureAt = s.At
		var p job.Pressure
		var ok1, ok2, ok3 bool
		p.CPU, ok1 = procfs.Pressure(c.text(c.psiCPU))
		p.Memory, ok2 = procfs.Pressure(c.text(c.psiMem))
		p.IO, ok3 = procfs.Pressure(c.text(c.psiIO))
		c.pressure = nil
		if ok1 || ok2 || ok3 {
			c.pressure = &p
		}
	}
	s.Pressure = c.pressure
}

// text reads a small file from its start; empty when there is none.
func (c *cgroup) text(fd int) []byte {
	if fd < 0 {
		return nil
	}
	n, err := unix.Pread(fd, c.buf, 0)
	if err != nil || n < 0 {
		return nil
	}
	return c.buf[:n]
}

// each reads a file of lines that may be longer than the buffer, whole lines at a time.
func (c *cgroup) each(fd int, f func(text []byte)) {
	if fd < 0 {
		return
	}
	var offset int64
	kept := 0
	for {
		n, err := unix.Pread(fd, c.buf[kept:], offset)
		if err != nil || n <= 0 {
			return // kernel files end their last line
		}
		offset += int64(n)
		end := bytes.LastIndexByte(c.buf[:kept+n], '\n') + 1
		f(c.buf[:end])
		kept = copy(c.buf, c.buf[end:kept+n])
		if kept+n < len(c.buf) && kept == 0 && n < 2048 {
			return // the text was short: the end, without another read
		}
	}
}
