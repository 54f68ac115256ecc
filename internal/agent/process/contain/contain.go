//go:build linux || darwin

// Package contain holds the processes of one attempt together, whatever they do to leave it, and
// bounds what they use: at the best level that the host and the agent's rights allow.
//
//   - cgroup2: a cgroup v2 leaf; a process is born in it (clone3), so nothing it starts can
//     be elsewhere. Memory and CPU limits come from its controllers, or from cgroup v1 groups
//     beside it on a host that has both.
//   - cgroup1: groups of the v1 hierarchies; a process is born in them too.
//   - process_group: a session per process that is started, and the agent as the reaper of
//     orphans, so that a process that detaches itself becomes the agent's child and is found
//     there.
//
// docs/adr/0003-containment.md has the reasons and the figures.
package contain

import "stint.dev/stint/internal/agent/process/children"

// Levels of containment, best first. They are part of the API (job.Run.Containment).
const (
	LevelCgroup2      = "cgroup2"
	LevelCgroup1      = "cgroup1"
	LevelProcessGroup = "process_group"
)

// Config says what a Containment is for.
type Config struct {
	Run     string
	Attempt int
	Limits  []Limit
	// OOMScoreAdj is the oom_score_adj of the processes, from -1000 to 1000; nil is that of the
	// caller. One that cannot be set becomes a note.
	OOMScoreAdj *int
	// AtMost keeps the level from being better than this one; empty means the best there is.
	AtMost string
}

// Group is the group of processes that is contained.
type Group interface {
	children.Group
	// KilledFromOutside returns a process that was started for the group and ended by a SIGKILL
	// that the agent did not send; false when there is none.
	KilledFromOutside() (pid int, name string, killed bool)
	// Note takes a sentence for a person about what the containment cannot do.
	Note(format string, args ...any)
}
