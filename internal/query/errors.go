package query

import (
	"fmt"
	"strings"

	"stint.dev/stint/job"
)

// NotFoundError says that the thing asked for is not in the store.
type NotFoundError struct{ What string }

func (e *NotFoundError) Error() string { return e.What + " was not found" }

// UnreadableError says that a stored run cannot be read, while others can. Run has what is
// known of it besides.
type UnreadableError struct {
	Run   job.Run
	What  string // of it
	Cause error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%s of run %s cannot be read: %v; stint server check shows what is damaged", e.What, e.Run.ID, e.Cause)
}

func (e *UnreadableError) Unwrap() error { return e.Cause }

// AmbiguousError says that a prefix names several runs.
type AmbiguousError struct {
	Prefix  string
	Matches []string // a few of them
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q begins the id of several runs (%s): write more of it", e.Prefix, strings.Join(e.Matches, ", "))
}

// ActiveJobError says that a job cannot be deleted, because runs of it are active.
type ActiveJobError struct {
	Job  string
	Runs int64
}

func (e *ActiveJobError) Error() string {
	return fmt.Sprintf("%d runs of job %s are active: cancel them first", e.Runs, job.Quote(e.Job))
}
