package runcmd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// waitingText is what a queued run waits for, one gate a line.
func waitingText(q job.QueuedRun, now time.Time, s console.Style, width int) string {
	var b strings.Builder
	sentence := func(text string, paint func(string) string) {
		b.WriteString(console.Hang(console.Clean(text), 0, width, paint) + "\n")
	}
	sentence(fmt.Sprintf("Attempt %d has waited for %s, with the priority %s.", q.Attempt, job.DurationText(max(0, now.Sub(q.Since))), q.Priority), nil)
	if q.Worker != "" {
		sentence("Worker "+q.Worker+" has it, and is starting it.", s.Green)
	}
	for _, g := range q.Gates {
		text := g.Text
		if g.OpensAt != nil && g.OpensAt.After(now) {
			text += " Opens in " + job.DurationText(g.OpensAt.Sub(now)) + "."
		}
		fmt.Fprintf(&b, "%s %s\n", s.Yellow(fmt.Sprintf("%-10s", g.Gate)), console.Hang(console.Clean(text), 11, width, nil))
	}
	if q.Ahead > 0 {
		fmt.Fprintf(&b, "Ahead of it: %s.\n", console.Count(q.Ahead, "run"))
	}
	if q.StartsAbout != nil && q.StartsAbout.After(now) {
		fmt.Fprintf(&b, "It starts in about %s.\n", job.DurationText(q.StartsAbout.Sub(now)))
	}
	if q.Worker == "" && len(q.Gates) == 0 && q.Ahead == 0 {
		sentence("Nothing keeps it from starting: the next worker with a free slot takes it.", nil)
	}
	return b.String() + "\n"
}

// submissionFacts are the facts of a run that was submitted.
func submissionFacts(sub *job.Submission, add func(name, text string), now time.Time) {
	if sub == nil {
		return
	}
	add("submitted", fmt.Sprintf("by %s %s", sub.By, console.Ago(sub.At, now)))
	if o := sub.Occurrence; o != nil {
		add("occurrence", fmt.Sprintf("of schedule %d at %s", o.Schedule, agentTime(&o.At)))
	}
	add("definition", sub.Definition[:min(len(sub.Definition), 12)])
	add("parameters", pairsText(sub.Parameters))
	add("priority", string(sub.Priority))
	add("group", sub.Group)
	add("requires", pairsText(sub.Requires))
	if sub.NotBefore != nil && sub.NotBefore.After(now) {
		add("not before", agentTime(sub.NotBefore))
	}
	if sub.StartBy != nil && sub.StartBy.After(now) {
		add("start by", agentTime(sub.StartBy))
	}
	var after []string
	for _, d := range sub.After {
		after = append(after, d.Run+" "+d.When)
	}
	add("after", strings.Join(after, ", "))
	add("worker", sub.Worker)
	add("held", sub.Held)
	add("reason", sub.Reason)
}

// pairsText is a map on one line, in the order of its keys.
func pairsText(all map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, key+"="+console.Cut(all[key], 60))
	}
	return strings.Join(parts, " ")
}
