package runcmd

import (
	"slices"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// localRun returns a run whose sentences name moments in the zone of the terminal.
func localRun(r job.Run) job.Run {
	local := func(text string) string { return console.LocalTimes(text, r.SentenceTimes) }
	if r.Outcome != nil {
		o := *r.Outcome
		o.Message = local(o.Message)
		r.Outcome = &o
	}
	if r.Diagnosis != nil {
		d := *r.Diagnosis
		d.Sentence, d.Causes = local(d.Sentence), slices.Clone(d.Causes)
		for i := range d.Causes {
			d.Causes[i].Evidence = local(d.Causes[i].Evidence)
		}
		r.Diagnosis = &d
	}
	r.Findings, r.Steps, r.Notes = slices.Clone(r.Findings), slices.Clone(r.Steps), slices.Clone(r.Notes)
	for i := range r.Notes {
		r.Notes[i] = local(r.Notes[i])
	}
	for i := range r.Findings {
		r.Findings[i].Evidence, r.Findings[i].Next = local(r.Findings[i].Evidence), local(r.Findings[i].Next)
	}
	for i := range r.Steps {
		r.Steps[i].Message = local(r.Steps[i].Message)
	}
	return r
}

// localExplanation returns an explanation whose sentences name moments in the zone of the terminal.
func localExplanation(e api.Explanation) api.Explanation {
	e.Rules = slices.Clone(e.Rules)
	for i, r := range e.Rules {
		e.Rules[i].Sentence = console.LocalTimes(r.Sentence, r.SentenceTimes)
	}
	if e.Waiting != nil {
		w := *e.Waiting
		w.Gates = slices.Clone(w.Gates)
		for i, g := range w.Gates {
			w.Gates[i].Text = console.LocalTimes(g.Text, g.SentenceTimes)
		}
		e.Waiting = &w
	}
	return e
}
