package api

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// LateRuns counts runs that one host delivered late, at once.
type LateRuns struct {
	Host   string    `json:"host"`
	Runs   int       `json:"runs"`
	Failed int       `json:"failed"` // of them; timed out and lost ones too
	From   time.Time `json:"from"`   // the start of the first
	To     time.Time `json:"to"`     // the start of the last
}

// Add counts a run.
func (l *LateRuns) Add(start time.Time, state job.State) {
	one := LateRuns{Runs: 1, From: start, To: start}
	if state.EndedBadly() {
		one.Failed = 1
	}
	l.Join(one)
}

// Join counts the runs of another one.
func (l *LateRuns) Join(other LateRuns) {
	if l.Runs == 0 || other.From.Before(l.From) {
		l.From = other.From
	}
	if l.Runs == 0 || other.To.After(l.To) {
		l.To = other.To
	}
	l.Runs, l.Failed = l.Runs+other.Runs, l.Failed+other.Failed
}

// Sentence returns what a person reads of them at a time: "7 runs from 01:10 to 04:30 arrived late, 2
// of them failed".
func (l LateRuns) Sentence(at time.Time) string {
	layout := "15:04"
	if y, m, d := at.UTC().Date(); l.From.UTC().Before(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) {
		layout = "2006-01-02 15:04"
	}
	from, to := l.From.UTC().Format(layout), l.To.UTC().Format(layout)
	text := fmt.Sprintf("%d runs from %s to %s arrived late", l.Runs, from, to)
	if l.Runs == 1 {
		text = fmt.Sprintf("1 run from %s arrived late", from)
	}
	switch {
	case l.Failed > 0 && l.Runs == 1:
		text += ", and it failed"
	case l.Failed > 0:
		text += fmt.Sprintf(", %d of them failed", l.Failed)
	}
	return text
}
