package rules

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
)

// Unstarted is a schedule whose last occurrences did not become runs.
type Unstarted struct {
	Job      string
	Schedule int    // its number
	When     string // its times, for people
	// Times is how many occurrences in a row did not become runs, not counting those of a pause; 0 if the last
	// one became a run.
	Times int64
	Last  schedule.Slot // the last of them
	Run   string        // the run that was in its way; empty for none
}

// factResult is the name of the fact with the result of the last occurrence.
const factResult = "result"

// JudgeSkipped returns the finding of a schedule after some of its times came; nil for none. found is the one before;
// nil for none.
func JudgeSkipped(u Unstarted, found *job.Finding, now time.Time, p policy.Policy) *job.Finding {
	if !p.Skipped.On || u.Times == 0 {
		return nil
	}
	if found == nil && u.Times < p.Skipped.Times && u.Last.Result != schedule.Refused {
		return nil
	}
	f := job.Finding{Rule: policy.Skipped, Health: skippedHealth(p), Since: now, Evidence: skippedText(u), Facts: map[string]any{
		"schedule": u.Schedule, "times": u.Times, "last_at": u.Last.Last.UTC().Format(time.RFC3339), factResult: string(u.Last.Result),
	}}
	if u.Run != "" {
		f.Facts["run"] = u.Run
	}
	if found != nil {
		f.Since = found.Since
	}
	return &f
}

func skippedHealth(p policy.Policy) job.Health {
	return cmp.Or(p.Actions[policy.Skipped].Severity, job.Warning)
}

func skippedText(u Unstarted) string {
	at := "at " + job.TimeText(u.Last.Last)
	if u.Times > 1 {
		at = fmt.Sprintf("%d times in a row, the last at %s", u.Times, job.TimeText(u.Last.Last))
	}
	return fmt.Sprintf("Schedule %d (%s) did not start %s %s: %s: %s.", u.Schedule, u.When, u.Job, at, u.Last.Result, strings.TrimSuffix(u.Last.Why, "."))
}

// FollowSkipped returns the finding of a schedule between its times; nil if it has ended. paused says that a person has
// paused the schedule or its job. started says that a run of the job has started since, which is neither of another
// schedule nor older: it ends the finding, unless the last occurrence was refused, because the next one may be too.
func FollowSkipped(found job.Finding, paused, started bool, p policy.Policy) *job.Finding {
	refused := found.Facts[factResult] == string(schedule.Refused)
	if !p.Skipped.On || paused || started && !refused {
		return nil
	}
	found.Health = skippedHealth(p)
	return &found
}

// SkippedEntries returns the entries of the outbox for a finding of a schedule that began, became worse, or ended with
// a start; nil is none.
func SkippedEntries(name string, before, after *job.Finding, started bool, now time.Time, p policy.Policy) []outbox.Entry {
	e := outbox.Entry{Kind: outbox.Notify, Job: name, At: now}
	switch {
	case !p.Actions[policy.Skipped].Notify:
		return nil
	case after != nil && (before == nil || before.Health == job.Warning && after.Health == job.Critical):
		e.What, e.Severity, e.Message = outbox.WhatSkipped, after.Health, after.Evidence
	case before != nil && after == nil && started:
		e.What, e.Ends, e.Severity, e.Message = outbox.WhatRecovered, outbox.WhatSkipped, before.Health, "Started. "+overText+before.Evidence
	default:
		return nil
	}
	return []outbox.Entry{e}
}
