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
	if got := notes(nil, 0); len(got) != 1 || got[0].Text != "diagnosis before the stop: 0 processes" {
		t.Errorf("%+v", got)
	}
	var many []facts
	for i := range maxProcesses {
		many = append(many, facts{pid: i, name: "p\n\x1b[2J\xff", state: 'S', files: []string{strings.Repeat("ü", 100*i)}})
	}
	got := notes(many, 1000)
	total, described := 0, 0
	for _, note := range got {
		n := note.Text
		total += len(n)
		described += strings.Count(n, "(pid ")
		if len(n) > 2000 || !utf8.ValidString(n) || strings.Contains(n, "\x1b") {
			t.Errorf("note of %d bytes: %q", len(n), n)
		}
	}
	if last := got[len(got)-1].Text; total > maxText+500 || !strings.HasSuffix(last, fmt.Sprintf("and %d more that are not described", 1000-described)) {
		t.Errorf("%d bytes, %d described, the end is %q", total, described, last[max(0, len(last)-100):])
	}
}

// What a note says to a person, it says to programs too, in as few bytes.
func TestNotesForPrograms(t *testing.T) {
	var many []facts
	for i := range maxProcesses {
		many = append(many, facts{pid: i, parent: 1, name: "p\n\x1b[2J\xff", state: 'S', files: []string{strings.Repeat("ü", 100*i)}, moreOpen: 1})
	}
	total, described, more := 0, 0, 0
	for _, note := range notes(many, 1000) {
		if got := strings.Count(note.Text, "(pid "); got != len(note.Processes) {
			t.Errorf("%d processes in the text and %d beside it", got, len(note.Processes))
		}
		more += note.NotDescribed
		for _, p := range note.Processes {
			if p.PID != described || p.Parent != 1 || p.Name != "p  [2J\uFFFD" || p.Facts[0] != "sleeping" {
				t.Errorf("%d of %d: %q", p.PID, p.Parent, p.Name)
			}
			described++
			for _, fact := range p.Facts {
				if total += len(fact); !utf8.ValidString(fact) || strings.Contains(fact, "\x1b") {
					t.Errorf("%q", fact)
				}
			}
		}
	}
	if total > maxText+500 || described == 0 || described+more != 1000 {
		t.Errorf("%d bytes, %d described, %d more", total, described, more)
	}
}
