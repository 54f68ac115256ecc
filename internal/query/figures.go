package query

import (
	"time"

	"stint.dev/stint/job"
)

// Figures are the figures of a store for metrics.
type Figures struct {
	Active        []ActiveCount   // of runs that have not ended
	OutboxPending int             // the pending rows of the outbox
	OutboxOldest  time.Duration   // age of the oldest of them
	Queue         []QueueCount    // of runs in the queue
	QueueOfJobs   []JobQueueCount // of the jobs with the most runs in the queue
	// Claims that ended without a start since this server began: because their workers gave them back, and because
	// no worker named them any more.
	ClaimsReleased, ClaimsOverdue int64
	// Occurrences counts those of schedules since this server began, by result, and SchedulesLate is by how much the
	// schedule is late that is due for longest.
	Occurrences   map[string]int64
	SchedulesLate time.Duration
	// Connections to the database: open, at work now, and the time that work has waited
	// for one since the start.
	DatabaseConnections, DatabaseInUse int
	DatabaseWaits                      time.Duration
	// Troubled counts the items that could not be done and are tried again later, and
	// ItemFailures how often that happened since this server began, both by kind.
	Troubled, ItemFailures map[string]int64
}

// QueueCount is the number of runs in the queue that wait at a gate: "ready", "taken" or one of job's.
type QueueCount struct {
	Gate   string
	Runs   int
	Oldest time.Duration // how long the first of them has waited
}

// JobQueueCount is the number of runs of a job in the queue.
type JobQueueCount struct {
	Job    string
	Runs   int
	Oldest time.Duration // how long the first of them has waited
}

// ActiveCount is the number of active runs in a state with a health.
type ActiveCount struct {
	State  job.State
	Health job.Health
	Runs   int
}
