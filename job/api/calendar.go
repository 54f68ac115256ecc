package api

import "time"

// Calendar has the due times of a job on some days, past and future, with the results of the past ones.
type Calendar struct {
	Job  string        `json:"job"`
	Zone string        `json:"zone"` // the IANA name of the zone whose days these are
	Days []CalendarDay `json:"days" nullable:"false"`
	// Times are in order. They are left out, and More is true, if there are more than were asked for.
	Times []CalendarTime `json:"times" nullable:"false"`
	More  bool           `json:"more"`
}

// CalendarDay is a day of a zone.
type CalendarDay struct {
	Day string    `json:"day"` // 2006-01-02
	At  time.Time `json:"at"`  // its first instant, in the zone
	// Change says in words how clocks change on the day; empty if they do not.
	Change string `json:"change,omitempty"`
	// ShiftMinutes is by how much: negative if they go back.
	ShiftMinutes int             `json:"shift_minutes,omitempty"`
	Counts       []CalendarCount `json:"counts" nullable:"false"`
}

// CalendarCount is how many times of a day had the same result.
type CalendarCount struct {
	Result CalendarResult `json:"result"`
	State  string         `json:"state,omitempty"` // of the runs
	Count  int64          `json:"count"`
}

// CalendarResult is the result of a due time: that of its occurrence, or one of those below.
type CalendarResult string

// The results of times for which there is no occurrence.
const (
	CalendarPlanned CalendarResult = "planned" // it has not come
	CalendarDue     CalendarResult = "due"     // a start is expected, and the grace lasts
)

// CalendarTime is a time at which a job was due or is due, or several one after the other with which the same was done.
type CalendarTime struct {
	Schedule int            `json:"schedule,omitempty"` // the number of the schedule
	Expected bool           `json:"expected,omitempty"` // it is due by its expectation, and not by a schedule
	At       time.Time      `json:"at"`                 // in the zone
	Last     time.Time      `json:"last"`               // of several; At of one
	Count    int64          `json:"count"`
	Result   CalendarResult `json:"result"`
	Why      string         `json:"why,omitempty"`
	InTheWay string         `json:"in_the_way,omitempty"` // the run because of which it was skipped, as job#number
	Paused   bool           `json:"paused,omitempty"`     // it has not come, and would not be started as of now
	// Starts is when a time that has not come starts the job, if that is later because of the spread.
	Starts *time.Time `json:"starts,omitempty"`
	Change string     `json:"change,omitempty"` // what a change of the clocks has to do with it, in words
	// Run is the id of the run, Number its number and State its state; empty without one.
	Run    string `json:"run,omitempty"`
	Number int64  `json:"number,omitempty"`
	State  string `json:"state,omitempty"`
}
