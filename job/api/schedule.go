package api

import "time"

// Schedule says when the server starts a job.
type Schedule struct {
	Job    string `json:"job"`
	Number int    `json:"number"` // within the job; it stays when the definition changes
	When   string `json:"when"`   // the crontab expression, or "every 1h30m"
	Zone   string `json:"zone"`   // by its IANA name
	// CatchUp is "latest" or "none": what is made up for. WindowMS is how late a start may be then.
	CatchUp    string            `json:"catch_up"`
	WindowMS   int64             `json:"window_ms"`
	SpreadMS   int64             `json:"spread_ms"` // how much later than its times it starts the job
	Parameters map[string]string `json:"parameters,omitempty"`
	// NextAt is the first time that has not come; nil if there is none.
	NextAt    *time.Time `json:"next_at,omitempty"`
	Paused    *Pause     `json:"paused,omitempty"`     // the schedule
	JobPaused *Pause     `json:"job_paused,omitempty"` // its job
}

// ScheduledTime is a time that will come.
type ScheduledTime struct {
	Job      string    `json:"job"`
	Schedule int       `json:"schedule"`
	At       time.Time `json:"at"`     // in the zone of the schedule
	Starts   time.Time `json:"starts"` // with the spread
	// Change says in words what a change of the clocks has to do with it; empty for nothing.
	Change string `json:"change,omitempty"`
	Paused bool   `json:"paused,omitempty"`
}

// OccurrenceRecord is a time at which a schedule was due, or several one after the other with which the same was done.
type OccurrenceRecord struct {
	Schedule int       `json:"schedule"`
	At       time.Time `json:"at"`
	Last     time.Time `json:"last"` // of several; At of one
	Count    int64     `json:"count"`
	Result   string    `json:"result"` // "ran", "ran_late", "skipped", "missed", "paused" or "refused"
	Why      string    `json:"why,omitempty"`
	InTheWay string    `json:"in_the_way,omitempty"` // the run because of which it was skipped, as job#number
	// Run is the id of the run, Number its number and State its state; empty without one.
	Run    string `json:"run,omitempty"`
	Number int64  `json:"number,omitempty"`
	State  string `json:"state,omitempty"`
}

// RunOccurrence is the time of a schedule for which a run was made.
type RunOccurrence struct {
	Schedule int       `json:"schedule"`
	When     string    `json:"when,omitempty"` // the schedule as it is now; empty if it is gone, as is Zone
	Zone     string    `json:"zone,omitempty"`
	At       time.Time `json:"at"` // by the schedule, in its zone
	// LateSeconds is by how much the run was made later than the schedule starts it.
	LateSeconds float64 `json:"late_seconds"`
	Result      string  `json:"result"` // "ran" or "ran_late"
	Why         string  `json:"why,omitempty"`
}

// Backfill asks for the runs of times that have passed.
type Backfill struct {
	Schedule int       `json:"schedule,omitempty"` // a number; 0 for all schedules of the job
	From     time.Time `json:"from"`
	To       time.Time `json:"to"` // not included
	By       string    `json:"by,omitempty"`
}
