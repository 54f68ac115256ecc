package worker

import (
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/procfs"
)

func (h *host) free() (memoryBytes int64, cpus *float64) {
	return memoryIn(readText("/proc/meminfo"), "MemAvailable"), freeCPUs(readText("/proc/loadavg"), runtime.NumCPU())
}

func (h *host) memory() int64 { return memoryIn(readText("/proc/meminfo"), "MemTotal") }

// lives reports whether the process lives that had a number at a start.
func lives(pid int, started uint64) bool {
	var s procfs.Stat
	if procfs.Usable() != nil {
		return unix.Kill(pid, 0) != unix.ESRCH
	}
	return procfs.ReadStat(pid, &s) == nil && !s.Dead() && s.StartedTicks == started
}

// workerGroup is the name of the cgroup that the worker itself has to be in for its agents to get
// cgroups of their own: a group with processes in it hands no controllers down, and systemd puts
// the next worker there too (DelegateSubgroup).
const workerGroup = "worker"

// cgroups are those of the agents, beside that of the worker; nil where it may make none.
type cgroups struct {
	parent string
	made   []string
}

// findCgroups finds out whether agents can have cgroups of their own.
func findCgroups() *cgroups {
	own, found := procfs.OwnCgroup(readText("/proc/self/cgroup"), "")
	if !found || path.Base(own) != workerGroup {
		return nil
	}
	for _, m := range procfs.CgroupMounts(readText("/proc/self/mountinfo")) {
		dir, ok := m.Dir(own)
		if !m.V2 || !ok {
			continue
		}
		c := &cgroups{parent: path.Dir(dir)}
		for _, controller := range []string{"memory", "cpu", "pids"} {
			// Without one of them limits do not hold, which each run notes.
			_ = os.WriteFile(path.Join(c.parent, "cgroup.subtree_control"), []byte("+"+controller), 0)
		}
		c.made = leftGroups(c.parent)
		c.clear()
		return c
	}
	return nil
}

// agentGroup begins the names of the agents' cgroups.
const agentGroup = "agent-"

// leftGroups are the cgroups of agents of earlier workers.
func leftGroups(parent string) (all []string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), agentGroup) {
			all = append(all, path.Join(parent, e.Name()))
		}
	}
	return all
}

// enter has a process be born in a cgroup of its own, where that is possible; leave is called when
// it was started.
func (c *cgroups) enter(name string, attr *syscall.SysProcAttr) (leave func()) {
	if c == nil {
		return func() {}
	}
	dir := path.Join(c.parent, agentGroup+name)
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return func() {}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}
	}
	c.made = append(c.made, dir)
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return func() { _ = unix.Close(fd) }
}

// clear removes the cgroups in which nothing lives any more.
func (c *cgroups) clear() {
	if c == nil {
		return
	}
	left := c.made[:0]
	for _, dir := range c.made {
		if !removeGroup(dir) {
			left = append(left, dir)
		}
	}
	c.made = left
}

// removeGroup removes a cgroup with those below it, and reports whether it is gone. The kernel
// refuses while a process is in one.
func removeGroup(dir string) bool {
	entries, _ := os.ReadDir(dir) // none if it is gone
	for _, e := range entries {
		if e.IsDir() {
			removeGroup(path.Join(dir, e.Name()))
		}
	}
	err := unix.Rmdir(dir)
	return err == nil || err == unix.ENOENT
}
