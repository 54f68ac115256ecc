package runcmd

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// shown is a run, and with several attempts, how each of them ended.
type shown struct {
	job.Run
	Attempts []attempt `json:"attempts,omitempty"`
}

// attempt is one of the attempts of a run.
type attempt struct {
	Attempt   int          `json:"attempt"`
	State     job.State    `json:"state"`
	Host      string       `json:"host"`
	StartedAt *time.Time   `json:"started_at"`
	EndedAt   *time.Time   `json:"ended_at"`
	Outcome   *job.Outcome `json:"outcome"`

	times []job.SentenceTime // of the outcome's message
}

// mostAttempts is how many attempts are shown: the last ones.
const mostAttempts = 20

// showRun returns the run that a person names, with its attempts unless one is named.
func showRun(ctx context.Context, c *client.Client, text string) (shown, error) {
	run, named, err := command.FindAttempt(ctx, c, text)
	if err != nil || named > 0 || run.Attempt < 2 {
		return shown{Run: run}, err
	}
	s := shown{Run: run}
	for n := max(1, run.Attempt-mostAttempts+1); n <= run.Attempt; n++ {
		one := run
		if n < run.Attempt {
			if one, err = c.Run(ctx, attemptName(run, n)); err != nil {
				return s, err
			}
		}
		s.Attempts = append(s.Attempts, attempt{n, one.State, one.Host, one.StartedAt, one.EndedAt, one.Outcome, one.SentenceTimes})
	}
	return s, nil
}

// attemptsTable lists attempts, the first one first.
func (p *program) attemptsTable(of shown, now time.Time, s console.Style) string {
	var rows [][]console.Cell
	for _, a := range of.Attempts {
		state, why := a.State, ""
		if a.Outcome != nil {
			why = console.LocalTimes(a.Outcome.Message, a.times)
			if state == job.Retrying {
				state = a.Outcome.State
			}
		}
		took := durationText(job.Run{State: a.State, StartedAt: a.StartedAt, EndedAt: a.EndedAt}, now)
		started := console.T("-")
		if a.StartedAt != nil {
			started = console.At(*a.StartedAt, "2006-01-02 15:04:05")
		}
		rows = append(rows, []console.Cell{console.T(fmt.Sprint(a.Attempt)), console.StateCell(state, s), started, console.T(took), console.T(a.Host), console.T(why)})
	}
	return p.Table([]console.Column{
		{Head: "ATTEMPT", Right: true}, {Head: "STATE"}, {Head: "STARTED", Drop: 2}, {Head: "TOOK", Right: true}, {Head: "HOST", Min: 6, Drop: 1}, {Head: "HOW IT ENDED", Min: 16},
	}, rows)
}

// nextAttemptText says when the next attempt of a run begins that is between two; empty for another run.
func nextAttemptText(r job.Run, now time.Time) string {
	if r.State != job.Retrying {
		return ""
	}
	text := fmt.Sprintf("attempt %d", r.Attempt+1)
	if r.Outcome == nil || r.Outcome.RetryAt == nil {
		return text
	}
	at := *r.Outcome.RetryAt
	if left := at.Sub(now); left > 0 {
		return text + " in " + job.DurationText(left) + ", at " + at.Local().Format("15:04:05 -07:00")
	}
	return text + " is due since " + at.Local().Format("15:04:05 -07:00")
}

// diagnosisTime is how long after the end of a run its cause is shown as not known yet: it is looked for each second.
const diagnosisTime = 10 * time.Second

// isBeingDiagnosed reports whether the server may still find out why a run ended badly.
func isBeingDiagnosed(r job.Run, now time.Time) bool {
	return r.State.EndedBadly() && r.Diagnosis == nil && r.EndedAt != nil && now.Sub(*r.EndedAt) < diagnosisTime && now.After(*r.EndedAt)
}
