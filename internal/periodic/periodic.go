// Package periodic runs what a server does again and again: it keeps the pauses between rounds, ends with a
// context, and logs a failure once.
package periodic

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// Loop says when rounds begin. Every must be set unless a round returns its own pause.
type Loop struct {
	Every time.Duration    // from the beginning of a round to that of the next
	First time.Duration    // pause before the first round
	Apart time.Duration    // the least time between the beginnings of two rounds, however often it is woken
	Wake  <-chan struct{}  // begins a round before it is due; may be nil
	Now   func() time.Time // the clock whose time a round gets; nil for time.Now
	Failures
}

// Run calls round again and again until ctx ends. A round that takes longer than Every is followed by the
// next one at once. An error is logged and ends nothing.
func (l Loop) Run(ctx context.Context, round func(now time.Time) error) {
	due := time.Now().Add(l.First)
	l.RunPaced(ctx, func(now time.Time) (time.Duration, error) {
		err := round(now)
		if at := time.Now(); !at.Before(due) { // else it was woken, and the round that is due comes as well
			due = due.Add(l.Every)
			if at.After(due) {
				due = at
			}
		}
		return time.Until(due), err
	})
}

// RunPaced is Run for rounds that return the pause after them.
func (l Loop) RunPaced(ctx context.Context, round func(now time.Time) (pause time.Duration, err error)) {
	now := l.Now
	if now == nil {
		now = time.Now
	}
	timer := time.NewTimer(l.First)
	defer timer.Stop()
	var began time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-l.Wake:
			if rest := l.Apart - time.Since(began); rest > 0 {
				timer.Reset(rest)
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		began = time.Now()
		pause, err := round(now())
		l.Note(ctx, err)
		timer.Reset(pause)
	}
}

// changedAfter is how soon a failure is logged again whose cause has changed.
const changedAfter = time.Minute

// Failures logs that something fails when that begins, when its cause changes, and when it works again, and
// not each time.
type Failures struct {
	Log     *slog.Logger // nil: nothing is logged
	Failing string       // message while it fails
	Working string       // message when it works again; empty for none

	cause    string // of the last failure that was logged; empty while it works
	loggedAt time.Time
}

// Note takes the result of one try. What fails because ctx has ended is no failure.
func (f *Failures) Note(ctx context.Context, err error) {
	if f.Log == nil || ctx.Err() != nil {
		return
	}
	if err == nil {
		if f.cause != "" && f.Working != "" {
			f.Log.Info(f.Working)
		}
		f.cause = ""
		return
	}
	cause := causeOf(err)
	if f.cause == "" || cause != f.cause && time.Since(f.loggedAt) >= changedAfter {
		f.Log.Error(f.Failing, "error", err)
		f.cause, f.loggedAt = cause, time.Now()
	}
}

// causeOf returns the text of an error without its figures: durations, counts and ports differ from one try
// to the next.
func causeOf(err error) string {
	text := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
	if text == "" {
		return "failed"
	}
	return text
}
