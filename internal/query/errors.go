package query

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// NotFoundError is the error of something that is not in the store.
type NotFoundError struct {
	What string
	Why  string // what was looked for; may be empty
}

func (e *NotFoundError) Error() string {
	if e.Why != "" {
		return e.What + " was not found: " + e.Why
	}
	return e.What + " was not found"
}

// UnreadableError is the error of a stored run that cannot be read. Run has what is known of it.
type UnreadableError struct {
	Run   job.Run
	What  string // of it
	Cause error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%s of run %s cannot be read: %v; stint server check shows what is damaged", e.What, e.Run.ID, e.Cause)
}

func (e *UnreadableError) Unwrap() error { return e.Cause }

// AmbiguousError is the error of a prefix of the ids of several runs.
type AmbiguousError struct {
	Prefix  string
	Matches []job.Candidate // a few of them
	More    bool            // there are others
}

func (e *AmbiguousError) Error() string {
	names := make([]string, len(e.Matches), len(e.Matches)+1)
	for i, m := range e.Matches {
		names[i] = fmt.Sprintf("%s#%d, %s", m.Job, m.Number, m.ID)
	}
	if e.More {
		names = append(names, "and others")
	}
	return fmt.Sprintf("%q begins the ids of several runs (%s): write more of it, or job#number", e.Prefix, strings.Join(names, "; "))
}

// ActiveJobError is the error of a job that cannot be deleted, because it has active runs.
type ActiveJobError struct {
	Job     string
	Runs    int64 // that are active
	Deleted int64 // that had ended, and were deleted before a run of the job began
}

func (e *ActiveJobError) Error() string {
	text := fmt.Sprintf("%d runs of job %s are active: cancel them first", e.Runs, job.Quote(e.Job))
	if e.Runs == 1 {
		text = fmt.Sprintf("1 run of job %s is active: cancel it first", job.Quote(e.Job))
	}
	switch {
	case e.Deleted == 1:
		text += "; 1 that had ended was deleted before"
	case e.Deleted > 1:
		text += fmt.Sprintf("; %d that had ended were deleted before", e.Deleted)
	}
	return text
}

// ActiveRunError is the error of a run that cannot be deleted, because it has not ended.
type ActiveRunError struct {
	Run   string
	State job.State
}

func (e *ActiveRunError) Error() string {
	return fmt.Sprintf("run %s is %s: cancel it first", e.Run, e.State)
}

// DeletedRunError is the error of a run that somebody has deleted: nothing of it is stored, or will be. It is also a
// *NotFoundError.
type DeletedRunError struct {
	Run string
	At  time.Time
	By  string
}

func (e *DeletedRunError) Error() string {
	return fmt.Sprintf("run %s was deleted by %s at %s", e.Run, job.Quote(e.By), job.TimeText(e.At))
}

func (e *DeletedRunError) Unwrap() error { return &NotFoundError{What: "run " + e.Run} }
