package index

import (
	"time"

	"stint.dev/stint/job"
)

// RunCounts are how many runs there are in each state and of each health, among those
// that all other filters of a query let through, and how many pass them all.
type RunCounts struct {
	Total  int64
	State  map[job.State]int64
	Health map[job.Health]int64
	// Exact is false when counting stopped early: then the figures are the least there are.
	Exact bool
}

// CutReason is why the middle of a long log is missing: the gaps that trimming made have
// it, and stand in no journal.
const CutReason = "the log is longer than the server keeps of one run"

// DamageReason is why a part of a log is missing that was damaged where it was stored, and
// dropped by a repair. It stands in no journal either.
const DamageReason = "what was stored here was damaged"

// LiveAgent is an active attempt and its last heartbeat.
type LiveAgent struct {
	Run    string
	Host   string
	BeatAt time.Time     // the server's clock; zero before the first
	Beat   job.Heartbeat // zero before the first
}

// ActionQuery asks for a page of actions, newest first.
type ActionQuery struct {
	Run    string // empty for all
	Status string // empty for all
	Limit  int    // 1 to 500
	Before int64  // only those with a smaller id; 0 for the newest
}
