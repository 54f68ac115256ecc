package diagnose

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/journal"
)

// Notes watches the processes of an attempt for MeasureInterval, and describes them. When ctx ends
// it describes what it has seen until then.
func Notes(ctx context.Context, members Members) []journal.Note {
	all, err := members()
	if err != nil {
		return []journal.Note{{Text: "no diagnosis before the stop: " + err.Error()}}
	}
	some := all[:min(len(all), maxProcesses)]
	begun := time.Now()
	before := make([]uint64, len(some))
	for i, m := range some {
		before[i], _ = ticks(m)
	}
	timer := time.NewTimer(MeasureInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	l := diagnosis{tables: map[string]map[uint64]string{}, threads: maxThreads}
	var found []facts
	children := map[int]int{}
	for i, m := range some {
		if ctx.Err() != nil {
			break
		}
		f, ok := l.process(m, before[i], time.Since(begun))
		if !ok {
			continue // it has ended
		}
		found = append(found, f)
		children[f.parent]++
	}
	for i := range found {
		found[i].children = children[found[i].pid]
	}
	return notes(found, len(all))
}

// ticks returns the CPU time that a process itself has used; ok is false when it has ended.
func ticks(m member.Member) (uint64, bool) {
	var s procfs.Stat
	if procfs.ReadStat(m.PID, &s) != nil || s.StartedTicks != m.StartedTicks {
		return 0, false
	}
	return s.UTime + s.STime, true
}

// diagnosis is one that is under way.
type diagnosis struct {
	tables  map[string]map[uint64]string // sockets by inode, for each network namespace
	threads int                          // that may still be read
}

func (l *diagnosis) process(m member.Member, before uint64, window time.Duration) (facts, bool) {
	var s procfs.Stat
	if procfs.ReadStat(m.PID, &s) != nil || s.StartedTicks != m.StartedTicks || s.Dead() {
		return facts{}, false
	}
	used := s.UTime + s.STime
	f := facts{
		pid: m.PID, parent: s.PPID, name: s.Name(), state: s.State, threads: s.Threads, cores: -1,
		cpu: time.Duration(used) * time.Second / procfs.Ticks,
	}
	if window > 0 && used >= before {
		f.cores = float64(used-before) / procfs.Ticks / window.Seconds()
	}
	dir := "/proc/" + strconv.Itoa(m.PID)
	if text := readText(dir + "/wchan"); text != "0" {
		f.wchan = text
	}
	opens, err := l.open(dir)
	f.denied = errors.Is(err, os.ErrPermission)
	c := parseCall(readText(dir + "/syscall"))
	f.call = c.name
	if c.fd >= 0 {
		f.on = "fd " + strconv.Itoa(c.fd)
		if target := opens[c.fd]; target != "" {
			f.on += ": " + target
		}
	}
	if s.Threads > 1 {
		f.waits = l.waits(dir)
	}
	f.sockets, f.files, f.moreOpen = sorted(opens)
	return f, true
}

// waits counts the system calls that the threads of a process are in.
func (l *diagnosis) waits(dir string) map[string]int {
	tasks, err := os.ReadDir(dir + "/task")
	if err != nil {
		return nil
	}
	waits := map[string]int{}
	for _, t := range tasks {
		if l.threads--; l.threads < 0 {
			break
		}
		if c := parseCall(readText(dir + "/task/" + t.Name() + "/syscall")); c.name != "" {
			waits[c.name]++
		}
	}
	return waits
}

// maxFDs bounds the descriptors of a process that are read.
const maxFDs = 256

// open names what the descriptors of a process are.
func (l *diagnosis) open(dir string) (map[int]string, error) {
	d, err := os.Open(dir + "/fd")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxFDs)
	if len(names) == 0 {
		return nil, err
	}
	opens := make(map[int]string, len(names))
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		target, err := os.Readlink(dir + "/fd/" + name)
		if err != nil {
			continue
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			target = l.socket(dir, strings.TrimSuffix(inode, "]"))
		}
		opens[fd] = target
	}
	return opens, nil
}

// socket names a socket by the tables of its process's network.
func (l *diagnosis) socket(dir, inode string) string {
	network, err := os.Readlink(dir + "/ns/net")
	if err != nil {
		return "a socket"
	}
	table := l.tables[network]
	if table == nil {
		table = map[uint64]string{}
		for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
			readSockets(table, kind, readTable(dir+"/net/"+kind))
		}
		l.tables[network] = table
	}
	n, err := strconv.ParseUint(inode, 10, 64)
	if err != nil || table[n] == "" {
		return "a socket of another kind"
	}
	return table[n]
}

// readText reads a small file of the kernel; empty when it cannot be read.
func readText(path string) string {
	var buf [512]byte
	text, err := procfs.Read(path, buf[:])
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// maxTable bounds what is read of one table of sockets: enough for some ten thousand.
const maxTable = 2 << 20

func readTable(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var text []byte
	buf := make([]byte, 64<<10)
	for len(text) < maxTable {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		text = append(text, buf[:n]...)
	}
	return string(text)
}
