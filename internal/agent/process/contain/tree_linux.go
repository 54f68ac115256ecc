package contain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/procfs"
)

// tree finds the processes of a group among all of the host where no cgroup holds them.
// While the agent lives this is complete: the agent adopts orphans, so whatever the job
// started, however often it forked and detached itself, is a descendant of the agent.
//
// It remembers its verdicts, so that a scan costs one listing of /proc, one read for each
// process of the group through a file that stays open, and nothing for the rest of the host. A
// process is identified by its number and the inode of its directory in /proc, by which it
// differs from a later one with the same number.
type tree struct {
	known      map[int]*node
	generation uint64
	listing    []byte
	ours       []*node // of the last scan
	files      int
}

type node struct {
	pid        int
	inode      uint64
	generation uint64 // of the scan that last saw it
	verdict    verdict
	unresolved int // scans after which it had no verdict; see countUnresolved
	fd         int // of /proc/PID/stat, or -1; held for our own only
	stat       procfs.Stat
}

type verdict int8

const (
	unknown verdict = iota
	ours            // for good
	outside         // for good: not below the agent
	below           // for this scan: below the agent, and not of this group
	ended           // for this scan: it ended, and the kernel gives its children to the agent
)

// maxTreeFiles bounds the files held open; of further processes the file is opened for
// each scan.
const maxTreeFiles = 1024

// scan finds the group's processes and calls f for each.
func (t *tree) scan(g Group, f func(s *procfs.Stat)) error {
	if t.known == nil {
		t.known, t.listing = map[int]*node{}, make([]byte, 32<<10)
	}
	t.generation++
	t.ours = t.ours[:0]
	// A process whose parent ends meanwhile has none until the kernel has given it to the agent;
	// a second judgement finds it there.
	const judgements = 5
	if err := errors.Join(procfs.Usable(), t.list()); err != nil {
		return fmt.Errorf("list the processes of the host: %w", err)
	}
	if procfs.Hides() {
		children.Direct(g, t.claim)
	}
	children.Judge(g, func(belongs func(s *procfs.Stat) bool) {
		for range judgements {
			if !t.judge(belongs) {
				break
			}
		}
		if procfs.Hides() {
			t.judgeHidden(belongs)
		}
	})
	for _, n := range t.ours {
		if t.read(n) {
			f(&n.stat)
		}
	}
	return nil
}

// list reads which processes exist, and forgets those that do not.
func (t *tree) list() error {
	fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Getdents(fd, t.listing)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			break
		}
		t.readEntries(t.listing[:n])
	}
	for pid, n := range t.known {
		if n.generation != t.generation {
			t.closeFile(n)
			delete(t.known, pid)
		}
	}
	return nil
}

// readEntries reads directory entries as the kernel packs them: inode (8 bytes), offset (8),
// length (2), type (1), name.
func (t *tree) readEntries(b []byte) {
	for len(b) >= 20 {
		length := int(binary.NativeEndian.Uint16(b[16:]))
		if length < 20 || length > len(b) {
			return
		}
		pid := 0
		for _, c := range b[19:length] {
			if c == 0 {
				break
			}
			if c < '0' || c > '9' {
				pid = 0
				break
			}
			pid = pid*10 + int(c-'0')
		}
		if pid > 0 {
			t.update(pid, binary.NativeEndian.Uint64(b))
		}
		b = b[length:]
	}
}

func (t *tree) update(pid int, inode uint64) {
	n := t.known[pid]
	if n != nil && n.inode != inode {
		t.closeFile(n)
		n = nil
	}
	if n == nil {
		n = &node{pid: pid, inode: inode, fd: -1}
		t.known[pid] = n
	}
	n.generation = t.generation
	switch n.verdict {
	case ours:
		t.ours = append(t.ours, n)
	case below, ended:
		n.verdict = unknown
	}
}

// judge gives a verdict to every process that has none. It reports whether some are left
// whose parent is not to be found.
func (t *tree) judge(belongs func(s *procfs.Stat) bool) (again bool) {
	self := os.Getpid()
	var fresh []*node
	for _, n := range t.known {
		if n.verdict != unknown {
			continue
		}
		if n.pid == self {
			n.verdict = outside
		} else if procfs.ReadStat(n.pid, &n.stat) != nil {
			n.verdict = ended
		} else {
			fresh = append(fresh, n)
		}
	}
	for _, n := range fresh {
		if t.follow(belongs, n, self, len(t.known)) == unknown {
			again = true
		}
	}
	for _, n := range fresh {
		if n.verdict == ours {
			t.ours = append(t.ours, n)
		}
	}
	return again
}

// follow walks from n towards the agent until a verdict is known, and passes it down.
func (t *tree) follow(belongs func(s *procfs.Stat) bool, n *node, self, depth int) verdict {
	if n.verdict != unknown || depth == 0 {
		return n.verdict
	}
	switch {
	case n.stat.Hidden: // its parent is not known
	case n.stat.PPID == self:
		if n.verdict = below; belongs(&n.stat) {
			n.verdict = ours
		}
	case n.stat.PPID == 0:
		n.verdict = outside
	default:
		if parent := t.known[n.stat.PPID]; parent != nil && parent.verdict != ended {
			n.verdict = t.follow(belongs, parent, self, depth-1)
		}
	}
	return n.verdict
}

// read renews the state of one of ours; false when it has ended.
func (t *tree) read(n *node) bool {
	if n.fd < 0 && t.files >= maxTreeFiles {
		return procfs.ReadStat(n.pid, &n.stat) == nil
	}
	if n.fd < 0 {
		fd, err := unix.Open("/proc/"+strconv.Itoa(n.pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil { // it has ended, or is hidden
			return procfs.ReadStat(n.pid, &n.stat) == nil
		}
		n.fd = fd
		t.files++
	}
	var buf [1024]byte
	size, err := unix.Pread(n.fd, buf[:], 0)
	return err == nil && procfs.ParseStat(buf[:max(size, 0)], &n.stat) == nil
}

func (t *tree) closeFile(n *node) {
	if n.fd >= 0 {
		unix.Close(n.fd)
		n.fd = -1
		t.files--
	}
}

func (t *tree) close() {
	for _, n := range t.known {
		t.closeFile(n)
	}
	t.known = nil
}
