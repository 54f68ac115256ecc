package logs

import (
	"slices"
	"strconv"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// Filter chooses streams; the zero value is all of them.
type Filter struct {
	Step   string // index or name as given; empty for all
	Stream job.Stream
	steps  []int // the steps that Step selects
}

// All reports whether every stream is wanted.
func (f Filter) All() bool { return f.Step == "" && f.Stream == "" }

// Match reports whether a stream of a step is wanted.
func (f Filter) Match(step int, stream job.Stream) bool {
	if f.Stream != "" && f.Stream != stream {
		return false
	}
	return f.Step == "" || slices.Contains(f.steps, step)
}

// Learn takes note of a step that has begun.
func (f *Filter) Learn(index int, name string) {
	if f.Step != "" && (f.Step == name || f.Step == strconv.Itoa(index)) && !slices.Contains(f.steps, index) {
		f.steps = append(f.steps, index)
	}
}

// ChooseStep resolves the step that was asked for, by index or name.
func (f *Filter) ChooseStep(view job.Run) error {
	if f.Step == "" {
		return nil
	}
	for _, step := range view.Steps {
		f.Learn(step.Index, step.Name)
	}
	if len(f.steps) == 0 {
		return &query.NotFoundError{What: "step " + job.Quote(f.Step) + " of run " + view.ID}
	}
	return nil
}

// Forget drops what is known of steps, for another attempt.
func (f *Filter) Forget() { f.steps = nil }
