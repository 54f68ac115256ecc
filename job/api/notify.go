package api

import (
	"time"

	"stint.dev/stint/job"
)

// Route says who is notified of what. Which values make sense is checked when it is set.
type Route struct {
	Name string `json:"name"`
	// URL says where to: https://… for a signed webhook, smtp://… for e-mail, or the
	// service URL of a chat (slack://…, ntfy://…). It may hold a password, so responses
	// mask it.
	URL string `json:"url"`
	// Secret signs webhooks ("whsec_…"). It is write only: responses leave it out.
	Secret string      `json:"secret,omitempty"`
	Match  RouteMatch  `json:"match"`
	Quiet  *QuietHours `json:"quiet,omitempty"`
	// GroupSeconds is how long the first message waits for others, to be sent as one.
	GroupSeconds int64 `json:"group_seconds,omitempty"`
	// RepeatSeconds is after how long a notification is sent again of a problem that is not
	// acknowledged and has not passed; 0 for never.
	RepeatSeconds int64     `json:"repeat_seconds,omitempty"`
	Enabled       bool      `json:"enabled"`
	ChangedAt     time.Time `json:"changed_at"`
	// Error says why the server cannot decrypt the URL and secret that it has stored. Nothing
	// is sent until it can, or the route is set again.
	Error string `json:"error,omitempty"`
}

// RouteMatch says which messages a route takes. Empty fields match everything, except that
// what is no problem (succeeded, canceled) must be named in Events.
type RouteMatch struct {
	Job      string            `json:"job,omitempty"` // a glob: *, ? and [a-z]
	Labels   map[string]string `json:"labels,omitempty"`
	Severity job.Health        `json:"severity,omitempty"` // at least: warning or critical
	Events   []string          `json:"events,omitempty"`
}

// QuietHours are hours in which nothing is sent. What was held back is sent as one message when
// they end.
type QuietHours struct {
	Cron     string `json:"cron"`     // when they begin: minute hour day month weekday
	Duration string `json:"duration"` // how long they last, as "9h" or "10h30m"
	Zone     string `json:"zone,omitempty"`
}

// Action is a message on its way through one route, or something to be done to a run.
type Action struct {
	ID       int64      `json:"id"`
	Kind     string     `json:"kind"` // notify, cancel or retry
	Run      string     `json:"run,omitempty"`
	RunName  string     `json:"run_name,omitempty"` // job#number, in lists
	Job      string     `json:"job,omitempty"`      // if it is about a job that has no run
	Attempt  int        `json:"attempt,omitempty"`
	What     string     `json:"what"`
	Severity job.Health `json:"severity,omitempty"`
	// Route is empty until the routes are chosen, and for a cancel and a retry.
	Route     string     `json:"route,omitempty"`
	Status    string     `json:"status"` // pending, done, failed or dropped
	Tries     int        `json:"tries"`
	NextAt    *time.Time `json:"next_at"` // nil unless pending
	LastError string     `json:"last_error,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	DoneAt    *time.Time `json:"done_at"`
	Message   string     `json:"message"`
	By        string     `json:"by,omitempty"`
	// ByPolicy is true if the policy of the job requested a cancel or a retry, see Cancel.
	ByPolicy bool   `json:"by_policy,omitempty"`
	Ends     string `json:"ends,omitempty"`
	// Late is what the event late counts.
	Late *LateRuns `json:"late,omitempty"`
	// Cause is the id of the change: the same in every route and in every repetition.
	Cause int64 `json:"cause"`
	// Repeat counts the notifications of the same that were sent before.
	Repeat int `json:"repeat,omitempty"`
	// Batch is the id under which it was sent, alone or with others. It never changes
	// once there is one, so that a receiver recognises a repetition.
	Batch int64 `json:"batch,omitempty"`
	// SentenceTimes are the moments that the message names.
	SentenceTimes []job.SentenceTime `json:"sentence_times,omitempty"`
}
