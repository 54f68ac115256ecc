// Package diagnose describes what processes that seem stuck are doing: their state, what they
// wait for in the kernel, their open sockets and files, and the CPU they use right now. It
// only reads what the system shows to every process with the agent's rights, and leaves out what
// cannot be read. It is for a person; nothing decides on it.
package diagnose

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/text"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// MeasureInterval is how long Notes measures the CPU that is used.
const MeasureInterval = 200 * time.Millisecond

const (
	maxProcesses = 64
	maxThreads   = 256 // of all processes together
	maxOpen      = 6   // sockets, and files, that are named of a process
	// maxNote and maxText bound one note and all of them, in bytes.
	maxNote = 1900
	maxText = 16 << 10
)

// Members lists the living processes of an attempt, as process.Group does.
type Members func() ([]member.Member, error)

// facts are what could be found out about one process. Empty means not known.
type facts struct {
	pid, parent int
	name        string
	state       byte
	call        string // the system call that its main thread is in
	on          string // what that call's descriptor is
	wchan       string // the kernel's function in which it waits
	threads     int
	waits       map[string]int // system calls of its threads, when there are several
	cpu         time.Duration  // since it began
	cores       float64        // in the window; below 0 when not known
	children    int
	sockets     []string
	files       []string
	moreOpen    int  // sockets and files beyond those
	denied      bool // the system keeps its calls and descriptors from us
}

var states = map[byte]string{
	'R': "running", 'S': "sleeping", 'D': "waiting inside the kernel, cannot be interrupted (disk or network file system?)",
	'T': "stopped by a signal", 't': "stopped by a debugger", 'I': "idle",
}

// text returns one line about a process.
func (f facts) text() string {
	return fmt.Sprintf("%s (pid %d, parent %d): ", f.name, f.pid, f.parent) + strings.Join(f.phrases(), "; ")
}

// phrases return what is known of a process, besides what identifies it.
func (f facts) phrases() []string {
	doing := states[f.state]
	if doing == "" {
		doing = fmt.Sprintf("state %q", f.state)
	}
	if f.call != "" {
		doing += ", in " + f.call
		if f.on != "" {
			doing += " on " + f.on
		}
	}
	if f.wchan != "" {
		doing += ", kernel function " + f.wchan
	}
	cpu := fmt.Sprintf("CPU %.2f s", f.cpu.Seconds())
	if f.cores >= 0 {
		cpu += fmt.Sprintf(", now %.0f %% of a core", 100*f.cores)
	}
	all := []string{doing, cpu}
	if f.threads > 1 {
		all = append(all, fmt.Sprintf("%d threads%s", f.threads, countsText(f.waits)))
	}
	if f.children > 0 {
		all = append(all, fmt.Sprintf("children: %d", f.children))
	}
	if len(f.sockets) > 0 {
		all = append(all, "sockets: "+strings.Join(f.sockets, ", "))
	}
	if len(f.files) > 0 {
		all = append(all, "files: "+strings.Join(f.files, ", "))
	}
	if f.moreOpen > 0 {
		all = append(all, fmt.Sprintf("%d more are open", f.moreOpen))
	}
	if f.denied {
		all = append(all, "the agent may not see its calls and descriptors")
	}
	return all
}

// process returns the same for programs. Its texts together are as long as a line may be.
func (f facts) process() job.StoppedProcess {
	p := job.StoppedProcess{PID: f.pid, Parent: f.parent, Name: text.Clean(f.name, maxName), Facts: []string{}}
	room := maxLine
	for _, phrase := range f.phrases() {
		if room < minPhrase {
			break
		}
		phrase = text.Clean(phrase, room)
		room -= len(phrase)
		p.Facts = append(p.Facts, phrase)
	}
	return p
}

// countsText lists system calls by how many threads are in them.
func countsText(waits map[string]int) string {
	if len(waits) == 0 {
		return ""
	}
	calls := make([]string, 0, len(waits))
	for call := range waits {
		calls = append(calls, call)
	}
	sort.Slice(calls, func(i, j int) bool {
		if waits[calls[i]] != waits[calls[j]] {
			return waits[calls[i]] > waits[calls[j]]
		}
		return calls[i] < calls[j]
	})
	var parts []string
	for _, call := range calls[:min(len(calls), 5)] {
		parts = append(parts, fmt.Sprintf("%d in %s", waits[call], call))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// notes packs lines into notes of bounded size. all counts the processes there were.
func notes(found []facts, all int) []journal.Note {
	var out []journal.Note
	note := journal.Note{Text: fmt.Sprintf("diagnosis before the stop: %d process%s", all, map[bool]string{false: "es"}[all == 1])}
	total, described := len(note.Text), 0
	for _, f := range found {
		line := text.Clean(f.text(), maxLine)
		if total += len(line) + 1; total > maxText {
			break
		}
		if len(note.Text)+1+len(line) > maxNote {
			out, note = append(out, note), journal.Note{Text: "diagnosis, continued"}
		}
		note.Text += "\n" + line
		note.Processes = append(note.Processes, f.process())
		described++
	}
	if described < all {
		note.Text += fmt.Sprintf("\nand %d more that are not described", all-described)
		note.NotDescribed = all - described
	}
	return append(out, note)
}

const (
	// maxLine bounds a line, so that it fits into a note with a heading.
	maxLine = 1800
	maxName = 100
	// minPhrase is the room that is worth the beginning of a phrase.
	minPhrase = 20
)
