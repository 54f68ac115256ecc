package contain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/filelock"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
)

// leaf is one cgroup of an attempt. Its directory is held open and locked (flock) while
// the agent lives: that is how another agent knows that it is in use.
type leaf struct {
	dir         string
	fd          int
	controllers []string // v1 only
	in, out     int      // v1 only: tasks of the leaf, and of the group the agent is in; or -1
}

// makeLeaf makes a cgroup and locks it. Where the name is taken (by another agent that was
// started for the same attempt, or by the remains of a dead one) the cgroup gets a suffix: the
// existing one belongs to another agent, and removeStale deletes it when it is not locked.
func makeLeaf(parent, name string) (*leaf, error) {
	const maxNames = 100
	dir := path.Join(parent, name)
	err := os.Mkdir(dir, 0o755)
	for n := 1; errors.Is(err, os.ErrExist) && n < maxNames; n++ {
		dir = path.Join(parent, fmt.Sprintf("%s-%d-%d", name, os.Getpid(), n))
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	l := &leaf{dir: dir, fd: -1, in: -1, out: -1}
	l.fd, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = filelock.Exclusive(l.fd)
	}
	if err != nil {
		_ = l.remove() // the first error is the one to report
		return nil, &os.PathError{Op: "open and lock", Path: dir, Err: err}
	}
	return l, nil
}

func (l *leaf) has(controller string) bool { return slices.Contains(l.controllers, controller) }

func (l *leaf) set(file, value string) error {
	return os.WriteFile(path.Join(l.dir, file), []byte(value), 0)
}

// enter puts the calling thread into a v1 leaf; leave takes it back to where the agent is.
func (l *leaf) enter() error { _, err := unix.Write(l.in, []byte("0")); return err }
func (l *leaf) leave() error { _, err := unix.Write(l.out, []byte("0")); return err }

// scan reads the processes of the cgroup and of cgroups that the job made below it.
func (l *leaf) scan(f func(s *procfs.Stat)) error {
	pids, err := cgroupPIDs(nil, l.dir)
	if err != nil {
		return fmt.Errorf("list the processes of the cgroup: %w", err)
	}
	slices.Sort(pids)
	self := os.Getpid()
	for _, pid := range slices.Compact(pids) {
		var s procfs.Stat
		if pid != self && procfs.ReadStat(pid, &s) == nil {
			f(&s)
		}
	}
	return nil
}

// killFrozen kills everything in a v1 freezer group. A frozen process cannot fork between the
// listing and the kill; the signals take effect when the group thaws.
func (l *leaf) killFrozen() error {
	if err := l.set("freezer.state", "FROZEN"); err != nil {
		return err
	}
	err := l.scan(func(s *procfs.Stat) {
		_ = member.Of(s).Signal(syscall.SIGKILL) // the rounds of kills report what survives
	})
	return errors.Join(err, l.set("freezer.state", "THAWED"))
}

func cgroupPIDs(pids []int, dir string) ([]int, error) {
	text, err := os.ReadFile(path.Join(dir, "cgroup.procs"))
	if errors.Is(err, unix.EOPNOTSUPP) { // a threaded cgroup lists its processes at its root
		text, err = nil, nil
	}
	if err != nil {
		return pids, err
	}
	pids = procfs.PIDs(pids, text)
	for _, sub := range subdirs(dir) {
		if pids, err = cgroupPIDs(pids, path.Join(dir, sub)); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return pids, err
		}
	}
	return pids, nil
}

// subdirs lists directories below dir. The count of links, which the kernel keeps for
// cgroups, saves the listing in the usual case of none.
func subdirs(dir string) (names []string) {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || st.Nlink <= 2 {
		return nil
	}
	entries, _ := os.ReadDir(dir) // gone meanwhile: nothing below
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// remove deletes the cgroup if it is empty. The kernel removes a process from its cgroup a moment
// after it has notified the parent of its end, so a busy group is tried a few times.
func (l *leaf) remove() error {
	for _, fd := range []int{l.in, l.out} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if l.fd >= 0 {
		defer unix.Close(l.fd)
	}
	err := removeTree(l.dir)
	for pause := time.Millisecond; err != nil && errors.Is(err, unix.EBUSY) && pause < 20*time.Millisecond; pause *= 2 {
		if pids, listErr := cgroupPIDs(nil, l.dir); listErr == nil && len(pids) > 0 {
			return nil // left on purpose
		}
		time.Sleep(pause)
		err = removeTree(l.dir)
	}
	if err == nil || errors.Is(err, unix.EBUSY) || errors.Is(err, os.ErrNotExist) {
		return nil // removed, or a later agent will do it
	}
	return fmt.Errorf("remove the attempt's cgroup: %w", err)
}

func removeTree(dir string) error {
	for _, sub := range subdirs(dir) {
		_ = removeTree(path.Join(dir, sub)) // the parent's own removal shows it
	}
	if err := syscall.Rmdir(dir); err != nil {
		return &os.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// removeStale deletes empty cgroups in parent that dead agents left: those that are not locked, and
// so old that no agent is between making and locking its own. It never kills.
func removeStale(parent string) {
	const age = time.Minute
	for _, name := range subdirs(parent) {
		dir := path.Join(parent, name)
		var st unix.Stat_t
		if !strings.HasPrefix(name, leafPrefix) || unix.Stat(dir, &st) != nil {
			continue
		}
		if time.Since(time.Unix(st.Mtim.Unix())) < age {
			continue
		}
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if filelock.Exclusive(fd) == nil {
			_ = removeTree(dir) // the kernel refuses it while a process lives in it, as it should
		}
		unix.Close(fd)
	}
}

// IsInLeaf reports whether a process is in a cgroup of an attempt, whose name LeafName gives.
func IsInLeaf(pid int, name string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && hasLeaf(text, []byte("/"+name))
}

// hasLeaf reports whether a path in text has this element, as it is or with the suffix that
// makeLeaf gives to a second cgroup of the same attempt.
func hasLeaf(text, element []byte) bool {
	for {
		i := bytes.Index(text, element)
		if i < 0 {
			return false
		}
		text = text[i+len(element):]
		if len(text) == 0 || text[0] == '\n' || text[0] == '/' || text[0] == '-' {
			return true
		}
	}
}
