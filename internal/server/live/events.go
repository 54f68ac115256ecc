package live

import (
	"context"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// runEvents has the kinds of events of a stream of one run, each with its data, for the OpenAPI document.
type runEvents struct {
	Run     job.Run      `json:"run"`
	Attempt attemptEvent `json:"attempt"`
	Output  outputEvent  `json:"output"`
	Step    job.Step     `json:"step"`
	Sample  job.Sample   `json:"sample"`
	Gap     job.Gap      `json:"gap"`
	Note    noteEvent    `json:"note"`
	Status  statusEvent  `json:"status"`
	End     endEvent     `json:"end"`
}

// allEvents has the kinds of events of the stream of all runs.
type allEvents struct {
	Run    job.Run      `json:"run"`
	Change job.RunEvent `json:"change"`
}

type noteEvent struct {
	Step int       `json:"step"` // -1: the whole attempt
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

type statusEvent struct {
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// eventOf returns the event for a record that is not output; an empty kind for none. The identity, the
// stopping and the outcome of an attempt are part of the event run.
func (f *follower) eventOf(rec journal.Record) (kind string, data any) {
	switch rec.Type {
	case journal.TypeStepStarted:
		var p journal.StepStarted
		if journal.Decode(rec, &p) == nil {
			return "step", f.stepStarted(p, rec.At)
		}
	case journal.TypeStepEnded:
		var p journal.StepEnded
		if journal.Decode(rec, &p) == nil {
			return "step", f.stepEnded(p, rec.At)
		}
	case journal.TypeSample:
		var p job.Sample
		if journal.Decode(rec, &p) == nil {
			if p.At.IsZero() {
				p.At = rec.At
			}
			return "sample", p
		}
	case journal.TypeGap:
		var p job.Gap
		if journal.Decode(rec, &p) == nil && f.filter.Match(p.Step, p.Stream) {
			if p.At.IsZero() {
				p.At = rec.At
			}
			return "gap", p
		}
	case journal.TypeNote:
		var p journal.Note
		if journal.Decode(rec, &p) == nil {
			return "note", noteEvent{p.Step, p.Text, rec.At}
		}
	case journal.TypeStatus:
		var p journal.Status
		if journal.Decode(rec, &p) == nil {
			return "status", statusEvent{p.Text, rec.At}
		}
	}
	return "", nil
}

func (f *follower) stepStarted(p journal.StepStarted, at time.Time) job.Step {
	f.filter.AddStep(p.Index, p.Name)
	step := job.Step{
		Index: p.Index, Name: p.Name, Kind: p.Kind, Command: p.Command,
		PID: p.PID, State: job.Running, StartedAt: at,
	}
	for i := range f.steps {
		if f.steps[i].Index == p.Index {
			f.steps[i] = step
			return step
		}
	}
	f.steps = append(f.steps, step)
	return step
}

func (f *follower) stepEnded(p journal.StepEnded, at time.Time) job.Step {
	step := job.Step{Index: p.Index}
	for _, known := range f.steps {
		if known.Index == p.Index {
			step = known
		}
	}
	step.State, step.EndedAt, step.ExitCode = p.Outcome.State, &at, p.Outcome.ExitCode
	step.Signal, step.Message = p.Outcome.Signal, p.Outcome.Message
	return step
}

// tailStart skips the lines before the tail that a client asked for, in the output that was stored when
// the stream began. All later output is sent.
type tailStart struct {
	from      int64 // number of the first line to send
	bytes     int64 // size of the output when the stream began
	bytesLeft int64 // how much of it is not read; -1 before the first block
	started   bool  // the first line to send has begun
	scan      *logs.LineScan
}

// startTail sets the place of the stream to n lines before the end.
func (f *follower) startTail(ctx context.Context, view job.Run, n int64) error {
	from, err := logs.TailLine(ctx, f.streams.Store, view, f.filter, n)
	if err != nil {
		return err
	}
	total := view.Output.Lines
	if from <= 1 {
		return nil // no line is skipped
	}
	heads, err := f.streams.Store.BlocksFromLine(ctx, f.run, f.attempt, min(from, total), 1)
	if err != nil || len(heads) == 0 {
		return err
	}
	f.pos = heads[0].Start
	f.tail = &tailStart{from: from, bytes: view.Output.Bytes, bytesLeft: -1}
	return nil
}

// beginBlock begins the scan at the first block, and again after dropped blocks.
func (t *tailStart) beginBlock(b logs.Block) {
	if t.scan == nil || b.Jumped {
		t.scan = logs.NewLineScan(b.Head)
		t.bytesLeft = max(0, t.bytes-b.Head.OutputStart)
	}
}

// over reports whether all output that was stored when the stream began has been read.
func (t *tailStart) over() bool { return t.bytesLeft == 0 }

// cut returns the part of an output record that is to be sent.
func (t *tailStart) cut(o journal.Output) ([]byte, error) {
	old := o.Data[:min(int64(len(o.Data)), t.bytesLeft)]
	t.bytesLeft -= int64(len(old))
	var tail []byte
	err := t.scan.Output(logs.Key{Step: o.Step, Stream: o.Stream}, old, func(int64) *logs.Line { return nil }, func(p logs.Piece) error {
		if p.Number >= t.from {
			t.started = true
			tail = append(tail, p.Data...)
		}
		return nil
	})
	return append(tail, o.Data[len(old):]...), err
}

// keeps reports whether a record that is not output is to be sent.
func (t *tailStart) keeps(rec journal.Record) bool {
	var ended journal.StepEnded
	if rec.Type == journal.TypeStepEnded && journal.Decode(rec, &ended) == nil {
		// The function returns no error, so StepEnded returns none.
		_ = t.scan.StepEnded(ended.Index, func(*logs.Line) error { return nil })
	}
	return t.started || t.bytesLeft == 0
}
