//go:build linux || darwin

package process

import (
	"os"
	"time"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/watch"
)

// Options says what a Group is for and what its processes may use.
type Options struct {
	Run     string // the run's id; with Attempt it marks the processes, see Group
	Attempt int
	// MemoryLimitBytes, CPULimit (in cores: 1.5) and ProcessLimit bound the whole attempt.
	// 0 means no limit. A limit that cannot be enforced becomes a note, never an error; see
	// Group.Unenforced.
	MemoryLimitBytes int64
	CPULimit         float64
	ProcessLimit     int
	// MemoryLimitName and CPULimitName are what messages call these limits, as the user gave
	// them; empty for "the memory limit of 50 MiB".
	MemoryLimitName, CPULimitName string
	// OOMScoreAdj is the oom_score_adj of the processes, from -1000 to 1000; nil is that of the
	// caller. One that cannot be set becomes a note.
	OOMScoreAdj *int
	// AtMost keeps the level from being better than this one; empty means the best there
	// is. It is for tests and for hosts whose cgroups must be left alone.
	AtMost string
	// Finish is done by the watcher after the agent's death; nil for nothing. The watcher then
	// lives until Dismiss.
	Finish *watch.Finish
	// Held is a file that the watcher has open after the agent's death until nothing of the attempt
	// lives, so that a lock of the agent's lasts as long; nil for none.
	Held *os.File
	// BeforeFork, if set, is called on the thread that is about to make a process, and what
	// it returns when that is done: for a caller that ignores signals which its children
	// must not ignore.
	BeforeFork func() (after func())
}

// limits returns the limits that are set.
func (o Options) limits() (all []contain.Limit) {
	if o.MemoryLimitBytes > 0 {
		all = append(all, contain.MemoryLimit(o.MemoryLimitBytes, o.MemoryLimitName))
	}
	if o.CPULimit > 0 {
		all = append(all, contain.CPULimit(o.CPULimit, o.CPULimitName))
	}
	if o.ProcessLimit > 0 {
		all = append(all, contain.ProcessLimit(o.ProcessLimit))
	}
	return all
}

// Spec is one process to start.
type Spec struct {
	Args []string // the program (searched on the PATH in Env unless it has a slash) and its arguments
	Dir  string   // working directory; empty is the agent's own
	Env  []string // the whole environment, as KEY=VALUE
	// Stdin, Stdout and Stderr become the child's; nil is /dev/null. The caller keeps and
	// closes its own ends.
	Stdin, Stdout, Stderr *os.File
	// Terminal makes Stdout, which must be one, the controlling terminal of the session.
	Terminal bool
}

// Exit describes how a process ended, as the kernel reports it.
type Exit struct {
	Code     int    // meaningful when Signal is empty
	Signal   string // "SIGKILL"; empty when the process exited by itself
	SignalNo int
	Core     bool
	// CPUSeconds and MaxRSSBytes cover the process and those of its descendants that were
	// waited for.
	CPUSeconds  float64
	MaxRSSBytes int64
}

// Usage is what processes that have ended used: those that this process waited for.
type Usage struct {
	CPUSeconds float64
	ReadBytes  int64
	WriteBytes int64
}

// The pauses between two checks of Empty: short at first, for processes that end at once.
const (
	firstPollDelay = 200 * time.Microsecond
	pollDelayLimit = 20 * time.Millisecond
)
