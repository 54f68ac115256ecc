package index

import (
	"time"

	"stint.dev/stint/job"
)

// Route says whom to notify of what. Which values make sense is checked when it is set.
type Route struct {
	Name string `json:"name"`
	// URL is where to: https://… for a signed webhook, smtp://… for e-mail, or the
	// service URL of a chat (slack://…, ntfy://…). It may hold a password, so answers
	// show it masked.
	URL string `json:"url"`
	// Secret signs webhooks ("whsec_…"). It is write only: answers leave it out.
	Secret string `json:"secret,omitempty"`
	Match  Match  `json:"match"`
	Quiet  *Quiet `json:"quiet,omitempty"`
	// GroupSeconds is how long the first message waits for others, to be sent as one.
	GroupSeconds int64 `json:"group_seconds,omitempty"`
	// RepeatSeconds is after how long a problem is told again that nobody has
	// acknowledged and that has not passed; 0 for never.
	RepeatSeconds int64     `json:"repeat_seconds,omitempty"`
	Enabled       bool      `json:"enabled"`
	ChangedAt     time.Time `json:"changed_at"`
	// Error says why the stored secrets of the route cannot be decrypted. Nothing is sent until
	// they can, or the route is set again.
	Error string `json:"error,omitempty"`
}

// Match says which messages a route takes. Empty fields match everything, except that
// what is no problem (succeeded, canceled) must be named in Events.
type Match struct {
	Job      string            `json:"job,omitempty"` // a glob: *, ? and [a-z]
	Labels   map[string]string `json:"labels,omitempty"`
	Severity job.Health        `json:"severity,omitempty"` // at least: warning or critical
	Events   []string          `json:"events,omitempty"`
}

// Quiet are the hours in which nothing is sent. What was held is told in one message at
// their end.
type Quiet struct {
	Cron     string `json:"cron"`     // when they begin: minute hour day month weekday
	Duration string `json:"duration"` // how long they last, as "9h" or "10h30m"
	Zone     string `json:"zone,omitempty"`
}

// Delivery is a route as the worker sees it: with its secret, and whether there is
// anything to do for it.
type Delivery struct {
	Route   Route
	Pending bool // some row is not settled
}
