// Package procfs reads the texts that the Linux kernel offers under /proc and in cgroup
// directories. Its parsers are pure, take whatever bytes they are given, and never panic:
// what is missing or is no number counts as absent.
package procfs

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Ticks is the kernel's USER_HZ: the unit of times in /proc/PID/stat. It is 100 on every
// architecture that Go runs on.
const Ticks = 100

// ErrForeign says that the processes of this PID namespace cannot be listed: /proc is not
// mounted, as in many a chroot, or it is that of another PID namespace, whose numbers are others.
var ErrForeign = errors.New("/proc is not mounted, or belongs to another PID namespace")

// Stat is what /proc/PID/stat says that matters here.
type Stat struct {
	PID, PPID, PGRP, Session int
	State                    byte // R, S, D, T, t, Z, X, I
	comm                     [16]byte
	commLen                  int
	// UTime to CSTime are in Ticks; the C ones belong to children that were waited for.
	UTime, STime, CUTime, CSTime uint64
	Threads                      int
	StartedTicks                 uint64 // since boot
	RSSPages                     int64
	// Hidden reports that only PID, PGRP and Session are known: see ReadStat.
	Hidden bool
}

// Name returns the kernel's short name of the program (at most 15 bytes).
func (s *Stat) Name() string { return string(s.comm[:s.commLen]) }

// SetName sets what Name returns.
func (s *Stat) SetName(name string) { s.commLen = copy(s.comm[:], name) }

// Dead reports whether the process has ended and only waits for its parent.
func (s *Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// CPUTicks returns the time of the process and of the children it waited for.
func (s *Stat) CPUTicks() uint64 { return s.UTime + s.STime + s.CUTime + s.CSTime }

// ErrStat says that a text is no /proc/PID/stat.
var ErrStat = errors.New("not the text of a /proc/PID/stat")

// ParseStat reads one line of /proc/PID/stat into s without allocating. The name may hold
// spaces and parentheses, so the fields after it are counted from the last parenthesis.
func ParseStat(b []byte, s *Stat) error {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open || end+2 >= len(b) {
		return ErrStat
	}
	*s = Stat{}
	pid, ok := number(bytes.TrimSpace(b[:open]))
	if !ok || pid > 1<<30 {
		return ErrStat
	}
	s.PID = int(pid)
	s.commLen = copy(s.comm[:], b[open+1:end])
	field := 2 // the state is the third; counted from 1 as in proc(5)
	for rest := b[end+2:]; len(rest) > 0; {
		word, after, _ := bytes.Cut(rest, space)
		rest = after
		field++
		if field == 3 {
			if len(word) != 1 {
				return ErrStat
			}
			s.State = word[0]
			continue
		}
		s.set(field, word)
		if field == 24 {
			return nil
		}
	}
	return ErrStat
}

var space = []byte{' '}

func (s *Stat) set(field int, word []byte) {
	v, ok := number(word)
	if !ok {
		return // negative: tpgid, a nice value; a few fields here are too, for kernel threads
	}
	switch field {
	case 4:
		s.PPID = int(v)
	case 5:
		s.PGRP = int(v)
	case 6:
		s.Session = int(v)
	case 14:
		s.UTime = v
	case 15:
		s.STime = v
	case 16:
		s.CUTime = v
	case 17:
		s.CSTime = v
	case 20:
		s.Threads = int(v)
	case 22:
		s.StartedTicks = v
	case 24:
		s.RSSPages = int64(v)
	}
}

// number reads an unsigned decimal that fits an int64, so that sums and conversions of
// what it returns stay in range.
func number(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n <= 1<<63-1
}

// Number reads a file that holds one number, as memory.current does. "max" is no number.
func Number(b []byte) (int64, bool) {
	n, ok := number(bytes.TrimSpace(b))
	return int64(n), ok
}

// Value finds "key value" (or "key: value") in a text of such lines: cpu.stat,
// memory.stat, memory.events, memory.oom_control, /proc/PID/io.
func Value(b []byte, key string) (int64, bool) {
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if len(line) <= len(key) || string(line[:len(key)]) != key {
			continue
		}
		rest := line[len(key):]
		if rest[0] == ':' {
			rest = rest[1:]
		}
		if len(rest) < 2 || rest[0] != ' ' {
			continue
		}
		return Number(rest)
	}
	return 0, false
}

// PIDs appends the numbers of a text with one per line (cgroup.procs) or separated by
// spaces (children).
func PIDs(dst []int, b []byte) []int {
	for _, word := range bytes.Fields(b) {
		if n, ok := number(word); ok && n > 0 && n < 1<<30 {
			dst = append(dst, int(n))
		}
	}
	return dst
}

// Pressure reads the "some avg10" of a PSI file, in percent.
func Pressure(b []byte) (float64, bool) {
	rest, found := bytes.CutPrefix(b, []byte("some avg10="))
	if !found {
		return 0, false
	}
	word, _, _ := bytes.Cut(rest, space)
	v, err := strconv.ParseFloat(string(word), 64)
	return v, err == nil && v >= 0 && v <= 100
}

// IOStat sums up rbytes and wbytes of a cgroup v2 io.stat over all devices.
func IOStat(b []byte) (read, written int64) {
	for _, word := range bytes.Fields(b) {
		if v, found := bytes.CutPrefix(word, []byte("rbytes=")); found {
			n, _ := Number(v)
			read += n
		} else if v, found := bytes.CutPrefix(word, []byte("wbytes=")); found {
			n, _ := Number(v)
			written += n
		}
	}
	return max(read, 0), max(written, 0)
}

// HasEnv reports whether a /proc/PID/environ has exactly this KEY=VALUE.
func HasEnv(environ []byte, pair string) bool {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == pair {
			return true
		}
	}
	return false
}

// OOMKill is one kill as the kernel's log reports it.
type OOMKill struct {
	Task   string
	PID    int
	Memcg  string // the cgroup of the task
	Micros int64  // since boot
}

// ParseOOMKill reads a record of /dev/kmsg; ok is false for any other message.
func ParseOOMKill(record string) (kill OOMKill, ok bool) {
	head, text, found := strings.Cut(record, ";")
	if !found || !strings.HasPrefix(text, "oom-kill:") {
		return kill, false
	}
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	if parts := strings.Split(head, ","); len(parts) >= 3 {
		kill.Micros, _ = strconv.ParseInt(parts[2], 10, 64)
	}
	for pair := range strings.SplitSeq(text, ",") {
		switch key, value, _ := strings.Cut(pair, "="); key {
		case "task":
			kill.Task = value
		case "pid":
			kill.PID, _ = strconv.Atoi(value)
		case "task_memcg":
			kill.Memcg = value
		}
	}
	return kill, kill.PID > 0
}
