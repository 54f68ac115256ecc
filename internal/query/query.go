// Package query has the queries for stored runs, jobs, actions and samples, and their results: pages, counts, samples for
// charts, the overview, and errors. It is pure.
package query

import (
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Runs is a query for a page of runs, those that started last first.
type Runs struct {
	Job    string
	States []job.State
	Health []job.Health
	Labels map[string]string // all must match
	Text   string            // in job, command, host, id or a label value; case-insensitive
	Host   string
	Since  time.Time // started then or later; zero for no bound
	Until  time.Time // started before; zero for no bound
	Limit  int       // 1 to 500
	Cursor string    // of the page before; empty for the first
}

// RunPage is a page of runs. NextCursor is empty on the last one.
type RunPage struct {
	Runs       []job.Run
	NextCursor string
}

// RunCounts are the numbers of runs in each state and of each health among those that match all other filters of a query,
// and the number of runs that match all filters.
type RunCounts struct {
	Total  int64
	State  map[job.State]int64
	Health map[job.Health]int64
	// Exact is false if counting stopped early: then the figures are lower bounds.
	Exact bool
}

// Jobs is a query for a page of jobs, in the order of names.
type Jobs struct {
	Text   string            // in the name; case-insensitive
	States []job.State       // of the last run by start
	Labels map[string]string // of the last run by start; all must match
	Limit  int               // 0 for 500
	Cursor string
}

// JobPage is a page of jobs. Cursor is empty on the last one.
type JobPage struct {
	Jobs   []api.Summary
	Cursor string
}

// Actions is a query for a page of actions, the newest first.
type Actions struct {
	Run    string // empty for all
	Status string // empty for all
	Since  time.Time
	Until  time.Time // not included; zero times do not filter
	Limit  int       // 1 to 500
	Before int64     // only those with a smaller id; 0 for the newest
}

// Audit is a query for a page of the audit log, the newest entries first. Zero fields do not filter.
type Audit struct {
	Who    string
	Text   string // in action, target or detail
	Since  time.Time
	Until  time.Time // not included
	Limit  int
	Before int64 // only those with a smaller id
}
