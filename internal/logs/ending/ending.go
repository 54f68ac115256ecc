package ending

import (
	"context"
	"slices"

	"stint.dev/stint/job"
)

// Ending is the end of an attempt's output.
type Ending struct {
	Lines []Line // last lines of all steps, in the order of their numbers
	// Evidence is the line that states the error, or the last line of an attempt that has not
	// ended. It is nil if there is none.
	Evidence *job.Evidence
	Strength Strength // of the line that states the error
}

// Read returns the end of an attempt's output; run is the state of the attempt.
func Read(ctx context.Context, from Blocks, run job.Run) (Ending, error) {
	lines, err := LastLines(ctx, from, run.ID, run.Attempt)
	if err != nil {
		return Ending{}, err
	}
	return Of(lines, run), nil
}

// Of returns the Ending of lines that were read. The output of succeeded steps states no
// error. An attempt that was ended from outside may have had no error of its own: its line
// must be at least Stated.
func Of(lines []Line, run job.Run) Ending {
	e := Ending{Lines: lines}
	if run.Outcome == nil {
		if n := len(lines); n > 0 {
			e.Evidence = evidence(run.Attempt, lines[n-1])
		}
		return e
	}
	var succeeded []int
	for _, step := range run.Steps {
		if step.State == job.Succeeded {
			succeeded = append(succeeded, step.Index)
		}
	}
	failed := slices.DeleteFunc(slices.Clone(lines), func(l Line) bool { return slices.Contains(succeeded, l.Step) })
	line, strength, ok := ErrorLine(failed)
	byItself := run.Outcome.Reason == job.ExitCode || run.Outcome.Reason == job.InstallFailed
	if ok && (byItself || strength >= Stated) {
		e.Evidence, e.Strength = evidence(run.Attempt, line), strength
	}
	return e
}

func evidence(attempt int, l Line) *job.Evidence {
	return &job.Evidence{Attempt: attempt, Step: l.Step, Stream: l.Stream, Line: l.Number, Text: l.Quoted()}
}
