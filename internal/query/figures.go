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

// JobsFigures are the figures of jobs for metrics.
type JobsFigures struct {
	Jobs     []JobFigures  // in the order of names
	LeftOut  int           // how many more jobs there are
	Findings []JobFindings // of runs that wait or are active, in the order of jobs, rules and severities
}

// JobFigures are the figures of one job. Times that are not known are zero.
type JobFigures struct {
	Name string
	// Labels are the values of the labels that were asked for, of the run that started last.
	Labels                          []string
	LastStart, LastEnd, LastSuccess time.Time
	Duration                        time.Duration // of the run that ended last; negative if it is not known
	PeakMemory                      int64         // of the same run in bytes; 0 if it was not measured
	ExitCode                        *int          // of the same run; nil if it has none
	Active                          int64         // runs that are active
	FailuresInARow                  int           // runs that ended badly since the last success, at most 10
	Ended                           map[job.State]int64
	Expected, Missed                bool      // it has an expectation, and has not started when it was due
	Due                             time.Time // when it is due next, or is due
}

// JobFindings is the number of runs of a job that a rule has a finding of.
type JobFindings struct {
	Job, Rule string
	Severity  job.Health
	Runs      int
}
