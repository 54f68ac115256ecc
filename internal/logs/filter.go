package logs

import (
	"slices"
	"strconv"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// Filter selects streams. The zero value selects all.
type Filter struct {
	Step   string // index or name as given; empty for all
	Stream job.Stream
	steps  []int // the steps that Step selects
}

// All reports whether the filter selects all streams.
func (f Filter) All() bool { return f.Step == "" && f.Stream == "" }

// Match reports whether the filter selects a stream of a step.
func (f Filter) Match(step int, stream job.Stream) bool {
	if f.Stream != "" && f.Stream != stream {
		return false
	}
	return f.Step == "" || slices.Contains(f.steps, step)
}

// AddStep adds a step that has begun, if it is the one that Step names.
func (f *Filter) AddStep(index int, name string) {
	if f.Step != "" && (f.Step == name || f.Step == strconv.Itoa(index)) && !slices.Contains(f.steps, index) {
		f.steps = append(f.steps, index)
	}
}

// ChooseStep finds the steps that Step names. The error is *query.NotFoundError if there is none.
func (f *Filter) ChooseStep(view job.Run) error {
	if f.Step == "" {
		return nil
	}
	for _, step := range view.Steps {
		f.AddStep(step.Index, step.Name)
	}
	if len(f.steps) == 0 {
		return &query.NotFoundError{What: "step " + job.Quote(f.Step) + " of run " + view.ID}
	}
	return nil
}

// Forget removes the steps that were found, for another attempt.
func (f *Filter) Forget() { f.steps = nil }
