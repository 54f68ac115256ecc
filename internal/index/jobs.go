package index

import "stint.dev/stint/job"

// JobQuery asks for a page of jobs, in the order of names.
type JobQuery struct {
	Name   string // only this one; empty for all
	Limit  int    // 0 for 500
	Cursor string
}

// JobPage is a page of jobs. Cursor is empty on the last one.
type JobPage struct {
	Jobs   []job.Summary
	Cursor string
}
