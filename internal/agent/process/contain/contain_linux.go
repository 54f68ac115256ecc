package contain

import (
	"errors"
	"os"
	"path"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// Containment holds one group on Linux: the cgroups that could be made for it, and the walk over
// /proc for where there are none.
type Containment struct {
	name  string // of its cgroups: "stint-RUN.ATTEMPT"
	group Group

	mu       sync.Mutex
	v2       *leaf
	v1       []*leaf
	tree     tree
	killsAll bool // cgroup.kill was written
	limits   limits

	score  *int           // the oom_score_adj that the job is to have; nil keeps the caller's
	memory *memoryCounter // nil where nothing counts out-of-memory kills
}

// leafPrefix begins the name of every cgroup that an agent makes for an attempt.
const leafPrefix = "stint-"

// LeafName returns the name of the cgroups that an agent makes for an attempt.
func LeafName(run string, attempt int) string {
	return leafPrefix + run + "." + strconv.Itoa(attempt)
}

// New makes the cgroups that the host, the rights and cfg allow. It costs two reads
// in /proc and about 50 µs per cgroup; nothing is searched.
func New(cfg Config, g Group) *Containment {
	c := &Containment{name: LeafName(cfg.Run, cfg.Attempt), group: g, score: cfg.OOMScoreAdj}
	oomScore.lower()
	mountinfo, err1 := procfs.ReadWhole("/proc/self/mountinfo", 16<<10)
	cgroups, err2 := procfs.ReadWhole("/proc/self/cgroup", 1<<10)
	host := hierarchies{mounts: procfs.CgroupMounts(string(mountinfo)), own: string(cgroups)}
	if errors.Join(err1, err2) != nil {
		host.mounts = nil
	}
	want := newLimits(cfg.Limits)
	var why2, why1 error
	if cfg.AtMost == "" || cfg.AtMost == LevelCgroup2 {
		c.v2, why2 = host.makeV2(c.name, want)
	}
	if cfg.AtMost != LevelProcessGroup {
		c.v1, why1 = host.makeV1(c.name, want, c.v2)
	}
	if cfg.AtMost == LevelProcessGroup {
		why1 = errLeftAlone
	}
	want.apply(c, host, errors.Join(why2, why1))
	c.limits = want
	c.memory = newMemoryCounter(c, host)
	if err := procfs.Usable(); err != nil {
		g.Note("the job's processes cannot be listed: %v; what leaves the process group of its step may continue to run", err)
	}
	return c
}

var errLeftAlone = errors.New("cgroups are not used, because of --containment")

// Level returns the level of containment that was reached: one of the Level constants. It can fall at
// the first Start, when the kernel refuses what it seemed to offer.
func (c *Containment) Level() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.v2 != nil:
		return LevelCgroup2
	case len(c.v1) > 0:
		return LevelCgroup1
	}
	return LevelProcessGroup
}

// Dir returns the attempt's own directory in a cgroup hierarchy: "cgroup2", or the name of a v1
// controller ("memory", "cpuacct", "pids"). It is empty where there is none.
func (c *Containment) Dir(hierarchy string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hierarchy == "cgroup2" {
		if c.v2 == nil {
			return ""
		}
		return c.v2.dir
	}
	if l := c.v1With(hierarchy); l != nil {
		return l.dir
	}
	return ""
}

func (c *Containment) v1With(controller string) *leaf {
	for _, l := range c.v1 {
		if l.has(controller) {
			return l
		}
	}
	return nil
}

// Start makes a process in the cgroups. The caller's goroutine is locked to its thread, and stays
// so while the process lives: the direct child dies with the thread that made it, so that it never
// outlives the agent. Its descendants are the watcher's task.
func (c *Containment) Start(path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	leave := c.enter(attr.Sys)
	child, err := children.Start(path, args, attr)
	if err != nil && c.mayHaveRefused(err) {
		// The same again without being born in the v2 leaf shows whether that was it.
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = false, 0
		if child, err = children.Start(path, args, attr); err == nil {
			c.dropLeaf()
		}
	}
	leave()
	return child, err
}

// enter prepares the calling thread and attr for a fork, and returns what undoes it.
func (c *Containment) enter(attr *syscall.SysProcAttr) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	attr.Pdeathsig = syscall.SIGKILL
	if c.v2 != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, c.v2.fd
	}
	entered := c.v1[:0:0]
	for _, l := range c.v1 {
		if err := l.enter(); err != nil {
			c.group.Note("the job's processes are not in the cgroup %s, and limits set there do not apply: %v", l.dir, err)
			c.limits.markLost(l)
			_ = l.remove() // empty, or it stays for a later agent
			continue
		}
		entered = append(entered, l)
	}
	c.v1 = entered
	back, err := oomScore.take(c.score)
	if err != nil {
		c.group.Note("%v", err)
	}
	return func() {
		back()
		for _, l := range entered {
			if err := l.leave(); err != nil {
				c.group.Note("a thread of the agent stays in the cgroup %s: %v", l.dir, err)
			}
		}
	}
}

// mayHaveRefused reports whether a failed start can be the kernel's refusal to make a
// process in the v2 leaf rather than the program's fault. Both come as one error number:
// ENOENT is a program that does not exist, or a leaf that another process has removed.
func (c *Containment) mayHaveRefused(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.v2 == nil {
		return false
	}
	for _, e := range []error{unix.ENOENT, unix.EACCES, unix.EPERM, unix.EBUSY, unix.EOPNOTSUPP, unix.ENODEV, unix.EINVAL, unix.ENOSYS, unix.E2BIG, unix.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// dropLeaf gives up the v2 level.
func (c *Containment) dropLeaf() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group.Note("the kernel does not start processes in the cgroup %s; the attempt is contained at a lower level, and limits set there do not apply", c.v2.dir)
	c.limits.markLost(c.v2)
	_ = c.v2.remove() // empty: nothing could be started in it
	c.v2 = nil
}

// Kill ends everything in the cgroups at once where the kernel can. Processes that still live
// must be listed and killed one by one.
func (c *Containment) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.v2 != nil {
		err := os.WriteFile(path.Join(c.v2.dir, "cgroup.kill"), []byte("1"), 0)
		if err == nil {
			c.killsAll = true
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) { // before Linux 5.14
			return err
		}
	}
	if frozen := c.v1With("freezer"); frozen != nil {
		return frozen.killFrozen()
	}
	return nil
}

// EndsWithoutPermission reports whether a process ends although this user may not signal it: the
// kernel checks no permission when it kills a whole cgroup.
func (c *Containment) EndsWithoutPermission(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.v2 != nil && c.killsAll && IsInLeaf(pid, path.Base(c.v2.dir))
}

// Populated reports whether anything lives in the v2 leaf; known is false without one.
func (c *Containment) Populated() (populated, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.v2 == nil {
		return false, false
	}
	var buf [256]byte
	text, err := procfs.Read(path.Join(c.v2.dir, "cgroup.events"), buf[:])
	v, ok := procfs.Value(text, "populated")
	return v != 0, err == nil && ok
}

// Scan calls f for every process of the group; those that have ended and were not waited for yet
// (zombies) are included where the level still sees them. f must not keep s.
func (c *Containment) Scan(f func(s *procfs.Stat)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var inside *leaf
	switch {
	case c.v2 != nil:
		inside = c.v2
	case len(c.v1) > 0:
		inside = c.v1[0]
	}
	if inside != nil {
		seen := map[int]bool{}
		err := inside.scan(func(s *procfs.Stat) { seen[s.PID] = true; f(s) })
		// A process with the rights to leave its cgroup still cannot leave its ancestors.
		children.Adopted(c.group, func(s *procfs.Stat) {
			if !seen[s.PID] {
				f(s)
			}
		})
		return err
	}
	return c.tree.scan(c.group, f)
}

// OOM returns the proof that the kernel's out-of-memory killer ended processes of the group since the
// last call, or nil. It rests on the kernel's counters, never on an exit code.
func (c *Containment) OOM() *job.OOM {
	if c.memory == nil {
		return nil
	}
	return c.memory.proof(c.group)
}

// Close removes the cgroups. One that is not empty stays: what lives in it was left on
// purpose, and a later agent removes it when it is empty.
func (c *Containment) Close() error {
	c.OOMKills() // reads the count once more, for heartbeats that follow
	c.mu.Lock()
	defer c.mu.Unlock()
	leaves := c.v1
	if c.v2 != nil {
		leaves = append(leaves, c.v2)
	}
	c.v1, c.v2 = nil, nil
	var err error
	for _, l := range leaves {
		err = errors.Join(err, l.remove())
		removeStale(path.Dir(l.dir))
	}
	c.memory.close()
	oomScore.restore()
	c.tree.close()
	return err
}

// Dirs returns the cgroups of the attempt, for the watcher to kill in and to remove.
func (c *Containment) Dirs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var dirs []string
	if c.v2 != nil {
		dirs = append(dirs, c.v2.dir)
	}
	for _, l := range c.v1 {
		dirs = append(dirs, l.dir)
	}
	return dirs
}
