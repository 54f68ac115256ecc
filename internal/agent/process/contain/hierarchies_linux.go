package contain

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/procfs"
)

// hierarchies is what the agent sees of the host's cgroups.
type hierarchies struct {
	mounts []procfs.Mount
	own    string // /proc/self/cgroup
}

// ownDir returns the directory of the agent's own cgroup in v2 (empty name) or in the hierarchy
// of a v1 controller. Leaves are made below it and nowhere else: whatever bounds the agent
// (a container, a systemd unit, a batch system) goes on bounding the job.
func (h hierarchies) ownDir(controller string) (string, procfs.Mount, error) {
	cgroup, found := procfs.OwnCgroup(h.own, controller)
	for _, m := range h.mounts {
		if !found || m.V2 != (controller == "") || !m.V2 && !slices.Contains(m.Controllers, controller) {
			continue
		}
		if dir, ok := m.Dir(cgroup); ok {
			if from := steppedFrom.Load(); from != nil && m.V2 && dir == path.Join(*from, agentLeaf) {
				dir = *from
			}
			return dir, m, nil
		}
	}
	if controller == "" {
		return "", procfs.Mount{}, errors.New("no cgroup v2 is mounted here")
	}
	return "", procfs.Mount{}, fmt.Errorf("no cgroup v1 with the %s controller is mounted here", controller)
}

// agentLeaf is where the agent puts itself when its own cgroup must be free of processes.
const agentLeaf = "stint-agent"

// steppedFrom is the cgroup that the agent was in before it put itself into agentLeaf; nil
// before it did. The cgroups of further attempts are made there as well.
var steppedFrom atomic.Pointer[string]

// makeV2 makes the leaf in the unified hierarchy.
func (h hierarchies) makeV2(name string, want limits) (*leaf, error) {
	own, _, err := h.ownDir("")
	if err != nil {
		return nil, err
	}
	// To be born in the leaf needs the right to write the common ancestor's cgroup.procs.
	if err := unix.Faccessat(unix.AT_FDCWD, path.Join(own, "cgroup.procs"), unix.W_OK, unix.AT_EACCESS); err != nil {
		return nil, &os.PathError{Op: "write", Path: path.Join(own, "cgroup.procs"), Err: err}
	}
	l, err := makeLeaf(own, name)
	if err != nil {
		return nil, err
	}
	delegate(own, l.dir, want)
	return l, nil
}

// delegate asks for the controllers that limits and memory accounting need in the leaf. A
// cgroup with processes in it cannot hand controllers down; where the agent is the only
// one there (a container's first process, a unit of its own) and a limit depends on it,
// the agent steps aside into a cgroup of its own. What fails shows as a missing file.
func delegate(own, leafDir string, want limits) {
	offered, err := os.ReadFile(path.Join(own, "cgroup.controllers"))
	if err != nil {
		return
	}
	var missing []string
	for _, w := range []struct{ controller, file string }{{"memory", "memory.events"}, {"cpu", "cpu.max"}, {"pids", "pids.max"}} {
		if (w.controller == "memory" || want.needs(w.controller)) && !exists(path.Join(leafDir, w.file)) && slices.Contains(strings.Fields(string(offered)), w.controller) {
			missing = append(missing, w.controller)
		}
	}
	if len(missing) == 0 || enable(own, missing) != unix.EBUSY || !want.any() {
		return
	}
	procs, err := os.ReadFile(path.Join(own, "cgroup.procs"))
	if err != nil || !slices.Equal(procfs.PIDs(nil, procs), []int{os.Getpid()}) {
		return
	}
	aside := path.Join(own, agentLeaf)
	if err := os.Mkdir(aside, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return
	}
	if os.WriteFile(path.Join(aside, "cgroup.procs"), []byte("0"), 0) == nil {
		steppedFrom.Store(&own)
		_ = enable(own, missing)
	}
}

// enable hands controllers down, one by one: one that is refused does not take the others
// with it. It returns the last error's number.
func enable(dir string, controllers []string) (last error) {
	for _, c := range controllers {
		err := os.WriteFile(path.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
		var number unix.Errno
		if errors.As(err, &number) {
			last = number
		}
	}
	return last
}

// lacks says why the job has no cgroup with a controller on a host whose only hierarchy is v2, or which has none; nil
// where there is a v1 hierarchy of the controller, or no cgroup could be made.
func (h hierarchies) lacks(controller string, v2 *leaf) error {
	switch {
	case len(h.mounts) == 0:
		return errors.New("no cgroups are mounted here")
	case v2 == nil || slices.ContainsFunc(h.mounts, func(m procfs.Mount) bool { return slices.Contains(m.Controllers, controller) }):
		return nil
	}
	own := path.Dir(v2.dir)
	offered, err := os.ReadFile(path.Join(own, "cgroup.controllers"))
	if err != nil || !slices.Contains(strings.Fields(string(offered)), controller) {
		return fmt.Errorf("the cgroup %s does not have the controller %s; a service of systemd with Delegate=yes has it", own, controller)
	}
	return fmt.Errorf("the cgroup %s has processes of its own, so that the job's cgroup cannot have the controller %s; below a service of systemd with Delegate=yes it can", own, controller)
}

// makeV1 makes groups for what the v2 leaf does not give: memory accounting and limits,
// CPU time where there is no leaf, and the freezer, which makes a kill complete.
func (h hierarchies) makeV1(name string, want limits, v2 *leaf) (leaves []*leaf, why error) {
	var controllers []string
	if v2 == nil {
		controllers = []string{"freezer", "memory", "cpuacct"}
	} else if !exists(path.Join(v2.dir, "memory.events")) {
		controllers = []string{"memory"}
	}
	for _, limited := range []struct{ controller, v2File string }{{"cpu", "cpu.max"}, {"pids", "pids.max"}} {
		if want.needs(limited.controller) && (v2 == nil || !exists(path.Join(v2.dir, limited.v2File))) {
			controllers = append(controllers, limited.controller)
		}
	}
	for _, controller := range controllers {
		if slices.ContainsFunc(leaves, func(l *leaf) bool { return l.has(controller) }) {
			continue // mounted together with one that was made: cpu,cpuacct
		}
		own, mount, err := h.ownDir(controller)
		if err != nil {
			why = errors.Join(why, err)
			continue
		}
		l, err := makeV1Leaf(own, name, mount.Controllers)
		if err != nil {
			why = errors.Join(why, err)
			continue
		}
		leaves = append(leaves, l)
	}
	return leaves, why
}

// makeV1Leaf makes a group and opens the two files through which a thread enters and
// leaves it, so that a missing right shows now and not at the start of the job.
func makeV1Leaf(own, name string, controllers []string) (*leaf, error) {
	out, err := openToWrite(path.Join(own, "tasks"))
	if err != nil {
		return nil, err
	}
	l, err := makeLeaf(own, name)
	if err != nil {
		unix.Close(out)
		return nil, err
	}
	l.controllers, l.out = controllers, out
	if l.in, err = openToWrite(path.Join(l.dir, "tasks")); err != nil {
		_ = l.remove() // the first error is the one to report
		return nil, err
	}
	return l, nil
}

// openToWrite opens a file of the kernel's without the os package, which would try to put
// each into its poller.
func openToWrite(file string) (fd int, err error) {
	fd, err = unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: file, Err: err}
	}
	return fd, nil
}

func exists(file string) bool {
	return unix.Faccessat(unix.AT_FDCWD, file, unix.F_OK, 0) == nil
}
