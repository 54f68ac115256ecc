package diagnose

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	f := facts{
		pid: 88, parent: 87, name: "java", state: 'S', call: "futex", wchan: "futex_wait_queue", threads: 12,
		waits: map[string]int{"futex": 10, "epoll_wait": 2}, cpu: 1500 * time.Millisecond, cores: 0.014, children: 1,
		sockets: []string{"tcp 10.0.0.1:5 to 10.0.0.2:443 established"}, files: []string{"/data/f"}, moreOpen: 3,
	}
	want := "java (pid 88, parent 87): sleeping, in futex, kernel function futex_wait_queue; CPU 1.50 s, now 1 % of a core; " +
		"12 threads (10 in futex, 2 in epoll_wait); children: 1; sockets: tcp 10.0.0.1:5 to 10.0.0.2:443 established; files: /data/f; 3 more are open"
	if got := f.text(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	bare := facts{pid: 1, name: "x", state: 'D', cores: -1, denied: true, call: "read", on: "fd 3: /mnt/f"}
	want = "x (pid 1, parent 0): waiting inside the kernel, cannot be interrupted (disk or network file system?), in read on fd 3: /mnt/f; CPU 0.00 s; the agent may not see its calls and descriptors"
	if got := bare.text(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestNotesAreBounded(t *testing.T) {
	if got := notes(nil, 0); len(got) != 1 || got[0] != "diagnosis before the stop: 0 processes" {
		t.Errorf("%q", got)
	}
	var many []facts
	for i := range maxProcesses {
		many = append(many, facts{pid: i, name: "p\n\x1b[2J\xff", state: 'S', files: []string{strings.Repeat("ü", 100*i)}})
	}
	got := notes(many, 1000)
	total, described := 0, 0
	for _, n := range got {
		total += len(n)
		described += strings.Count(n, "(pid ")
		if len(n) > 2000 || !utf8.ValidString(n) || strings.Contains(n, "\x1b") {
			t.Errorf("note of %d bytes: %q", len(n), n)
		}
	}
	if last := got[len(got)-1]; total > maxText+500 || !strings.HasSuffix(last, fmt.Sprintf("and %d more that are not described", 1000-described)) {
		t.Errorf("%d bytes, %d described, the end is %q", total, described, last[max(0, len(last)-100):])
	}
}
