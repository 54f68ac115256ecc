package queue

import (
	"time"

	"stint.dev/stint/job"
)

// Occurrence is a time at which a schedule of a job is due, and of which a run is to be made.
type Occurrence struct {
	Run        string // the id of the run
	Job        string
	Schedule   int            // its number
	At         time.Time      // by the schedule: defaults are resolved for it
	Zone       *time.Location // of the schedule
	Parameters map[string]string
	By         string
	Overlap    string           // with other work of the job: skip, queue or allow; empty for that of the definition
	After      []job.Dependency // runs that must end first, besides those of Overlap
	Held       string           // why a person has to release the run; empty for nothing
	// PassesHeld says that held runs of the job are no work for which it is skipped.
	PassesHeld bool
}

// AfterRestore says what a restore of the database at a time has to do with an occurrence. One that was due before may
// have run since, and is held. A later one is not skipped because of held runs: these wait for a person, who may never
// come. Until agents had time to report, held runs may go on.
func (o *Occurrence) AfterRestore(at time.Time, why string, now time.Time) {
	if o.At.Before(at) {
		o.Held = why
		return
	}
	o.PassesHeld = !now.Before(at.Add(RestoredGrace))
}

// OverlapError is the error of an occurrence that is skipped because another run of the job is queued or active.
type OverlapError struct {
	Why string
	Run string // the first of that work
}

func (e *OverlapError) Error() string { return e.Why }
