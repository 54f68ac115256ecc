package runcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// explain prints the results of the health rules for a run.
func (p *program) explain() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "explain [flags] RUN",
		Short: "Show what a queued run waits for, or the result of every health rule and its reason",
		Long: `Show the result of every health rule for a run: whether it fires, the figures, and what happens
next and when; then the diagnosis of the run, and the changes since the last successful run of
the job. For a queued run, show what it waits for and when it will probably start; for a run of
a schedule, for which time it was made. ` + command.RunHelp,
		Args: command.OneRun,
	}, nil, func(ctx context.Context, r command.Request) (e explained, err error) {
		run, err := command.FindRun(ctx, r.Client, r.Args[0])
		if err != nil {
			return e, err
		}
		if e.Explanation, err = r.Explain(ctx, run.ID); err != nil || r.Opts.On("json") {
			return e, err
		}
		e.run = run
		e.changes, err = r.Changes(ctx, run.ID, "")
		return e, err
	}, func(e explained) string {
		return p.explanation(localRun(e.run), localExplanation(e.Explanation), e.changes, time.Now())
	})
}

// explained is an explanation, and what is printed with it as text.
type explained struct {
	api.Explanation
	run     job.Run
	changes api.Changes
}

// ruleIndent is the width of what precedes the sentence of a rule: its name and what it found.
const ruleIndent = 20

func (p *program) explanation(run job.Run, e api.Explanation, changes api.Changes, now time.Time) string {
	s, width := p.StyleFor(p.Out), p.Width(p.Out)
	hang := func(text string, indent int, paint func(string) string) string {
		return console.Hang(console.Clean(text), indent, width, paint)
	}
	var b strings.Builder
	of := "default policy"
	if e.Policy == "job" {
		of = "policy of the job"
	}
	state := string(run.State)
	if run.SuspendedAt != nil {
		state += ", suspended " + console.Ago(*run.SuspendedAt, now)
	}
	fmt.Fprintf(&b, "%s: %s; %s\n\n", s.Bold(console.Clean(command.RunName(run))), state, of)
	if e.Occurrence != nil {
		b.WriteString(hang(occurrenceText(run.Job, *e.Occurrence), 0, nil) + "\n\n")
	}
	ended := ""
	if run.State.Terminal() {
		ended = api.EndedPrefix(run.State)
		b.WriteString(hang(strings.TrimSuffix(ended, " "), 0, nil) + "\n\n")
	}
	if e.Waiting != nil {
		b.WriteString(waitingText(*e.Waiting, now, s, width))
	}
	for _, r := range e.Rules {
		mark, paint := "ok", s.Muted
		switch {
		case !r.On:
			mark = "off"
		case r.Fires && r.Health == job.Critical:
			mark, paint = string(job.Critical), s.Red
		case r.Fires:
			mark, paint = string(job.Warning), s.Yellow
		}
		fmt.Fprintf(&b, "%s %s %s\n", s.Bold(fmt.Sprintf("%-10s", r.Rule)), paint(fmt.Sprintf("%-8s", mark)), hang(strings.TrimPrefix(r.Sentence, ended), ruleIndent, nil))
		if text := inputsText(r.Inputs); text != "" && r.On {
			fmt.Fprintf(&b, "%*s%s\n", ruleIndent, "", hang(text, ruleIndent, s.Muted))
		}
		if r.Fires && r.On && r.Next != "" {
			fmt.Fprintf(&b, "%*s%s\n", ruleIndent, "", hang("next: "+nextText(r.Next, r.NextAt, now), ruleIndent, nil))
		}
	}
	if run.Diagnosis != nil {
		b.WriteString("\n" + causesText(*run.Diagnosis, s, width))
	}
	if changes.Since != nil && len(changes.Changes) > 0 {
		fmt.Fprintf(&b, "\nChanged since #%d, the last good run:\n", changes.Since.Number)
		for _, c := range changes.Changes {
			fmt.Fprintf(&b, "  %s\n", hang(c.What+": "+orNone(c.Before)+" → "+orNone(c.After), 4, nil))
		}
	}
	return b.String()
}

// causesText returns a diagnosis with every cause that was considered.
func causesText(d job.Diagnosis, s console.Style, width int) string {
	var b strings.Builder
	b.WriteString(diagnosisText(&d, "", s, width))
	for _, c := range d.Causes {
		evidence := c.Evidence
		if evidence == d.Sentence {
			evidence = ""
		}
		cause := fmt.Sprintf("  %3.0f %%  %s  ", c.Weight*100, console.Clean(c.Cause))
		b.WriteString(cause + console.Hang(console.Clean(evidence), console.Cells(cause), width, s.Muted) + "\n")
	}
	return b.String()
}

// occurrenceText says for which time of which schedule a run was made.
func occurrenceText(name string, o api.RunOccurrence) string {
	text := fmt.Sprintf("Made by schedule %d", o.Schedule)
	if o.When != "" {
		text += fmt.Sprintf(" (%s, %s)", o.When, o.Zone)
	}
	text += " for " + o.At.Format("Mon 2006-01-02 15:04:05 -07:00")
	if o.Result != "ran" {
		text += ", " + job.DurationText(time.Duration(o.LateSeconds*float64(time.Second))) + " late"
	}
	if o.Why != "" {
		text += ": " + o.Why
	}
	return text + ". All times: stint schedule list " + name
}

func nextText(next string, at *time.Time, now time.Time) string {
	if at == nil {
		return next
	}
	if left := at.Sub(now); left > 0 {
		return next + " in " + job.DurationText(left)
	}
	return next
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// inputsText is figures on one line, in the order of their names.
func inputsText(inputs map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		value := fmt.Sprint(inputs[name])
		if f, ok := inputs[name].(float64); ok {
			if text, err := json.Marshal(math.Round(f*1000) / 1000); err == nil {
				value = string(text)
			}
			if strings.HasSuffix(name, "bytes") {
				value = job.Bytes(int64(f))
			}
		}
		if name == "bytes" { // the field of a policy
			name = "limit_bytes"
		}
		parts = append(parts, name+"="+value)
	}
	return strings.Join(parts, " ")
}
