package api

import (
	"time"

	"stint.dev/stint/job"
)

// JobDue is the expectation of a job, with what was missed and kept lately.
type JobDue struct {
	Due
	// PingURL is where a ping counts for the job; without scheme and host if the server does not know its own
	// address. It is absent for readers, because who knows it may ping. Slug is the name at which a token of the
	// scope ping does the same.
	PingURL string `json:"ping_url,omitempty"`
	Slug    string `json:"slug"`
	// PostOnly: pings count with the method POST only.
	PostOnly bool `json:"post_only"`
	// Pulses are the pings that were counted and are no runs; nil for none.
	Pulses *Pulses      `json:"pulses"`
	Missed []MissedTime `json:"missed" nullable:"false"` // the last 100, the last one first
	Days   []KeptDay    `json:"days" nullable:"false"`   // the last 100 with a start, the last one first
}

// Pulses count the successes without a start that a job with a short period has reported.
type Pulses struct {
	Times  int64     `json:"times"`
	LastAt time.Time `json:"last_at"`
	Body   string    `json:"body"` // the beginning of the last one's body
}

// DueRequest sets the expectation of a job. What is nil stays as it is.
type DueRequest struct {
	job.Expectation
	UUID     *string `json:"uuid,omitempty"`
	Slug     *string `json:"slug,omitempty"`
	PostOnly *bool   `json:"post_only,omitempty"`
	// Labels are all that the expectation is to have; empty and not nil for none.
	Labels map[string]string `json:"labels,omitzero"`
}

// DueSuggestion is a suggested expectation for a job that has none and no schedule.
type DueSuggestion struct {
	// Suggested is nil if the starts of the job fit none, the job is expected, schedules start it, or a person wants none.
	Suggested *SuggestedDue `json:"suggested"`
}

// SuggestedDue is an expectation that fits the last starts of a job.
type SuggestedDue struct {
	job.Expectation
	When       string `json:"when"`        // in words: each day at 03:00
	OffSeconds int64  `json:"off_seconds"` // by how much starts differ from it, at most
	Starts     int    `json:"starts"`      // how many fit it
}

// MissedTime is a due time that was missed, or several one after the other.
type MissedTime struct {
	DueAt    time.Time `json:"due_at"`
	LastAt   time.Time `json:"last_at"` // the last of several
	Times    int64     `json:"times"`
	MissedAt time.Time `json:"missed_at"`
	// StartedAt is a start that counts for it and became known at HealedAt; nil for none.
	StartedAt *time.Time `json:"started_at"`
	HealedAt  *time.Time `json:"healed_at"`
}

// KeptDay counts the due times of a day, in UTC, that had a start.
type KeptDay struct {
	Day  string `json:"day"` // 2006-01-02
	Kept int64  `json:"kept"`
}

// DueState is the state of an expectation.
type DueState string

// The states of expectations.
const (
	DueNew    DueState = "new"    // no run of the job has started yet, so none is due
	DueOK     DueState = "ok"     // the next run is not due yet
	DueNow    DueState = "due"    // a run is due and has not started; it is not missed yet
	DueMissed DueState = "missed" // a run was missed, and none has started since
	DuePaused DueState = "paused" // a person paused it
)

// Due is the expectation of a job and its state.
type Due struct {
	job.Expectation
	State DueState `json:"state"`
	// NextDueAt is the first due time that has neither a start nor was missed; nil if State is new or
	// paused. MissedAt is when it counts as missed unless a run starts.
	NextDueAt *time.Time `json:"next_due_at"`
	MissedAt  *time.Time `json:"missed_at"`
	// MissedSince is the first of MissedTimes due times that were missed since the last start.
	MissedSince *time.Time `json:"missed_since,omitempty"`
	MissedTimes int64      `json:"missed_times,omitempty"`
	LastStartAt *time.Time `json:"last_start_at"` // nil if none is known
	SetAt       time.Time  `json:"set_at"`
	SetBy       string     `json:"set_by"`
	// Labels are those of the runs that pings of the job make.
	Labels map[string]string `json:"labels,omitempty"`
}

// DueTimes are the next due times of an expectation as it would be set.
type DueTimes struct {
	job.Expectation
	Times []DueTime `json:"times" nullable:"false"`
	// LastStartAt is the last start of the job; nil for none. Nothing is due before the first one.
	LastStartAt *time.Time `json:"last_start_at"`
}

// DueTime is a due time. Those of an interval assume that each run starts when it is due.
type DueTime struct {
	At       time.Time `json:"at"`               // in the zone of the expectation
	MissedAt time.Time `json:"missed_at"`        // in the same zone
	Change   string    `json:"change,omitempty"` // what a change of the clocks has to do with it, in words
}
