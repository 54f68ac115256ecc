package index

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Fact is a record of a journal that may change the run's state.
type Fact struct {
	Event    job.Event
	At       time.Time // the agent's clock
	Evidence string
}

// Note is a note of the agent that the append had.
type Note struct {
	At   time.Time // the agent's clock
	Text string
}

// FoldResult is the result of folding an append.
type FoldResult struct {
	State State
	// Head describes the whole records of the append; zero when there was none.
	Head    BlockHead
	Samples []job.Sample
	Facts   []Fact
	Notes   []Note
	// Tail is the number of bytes at the end of the data that are not a whole record yet. They are not part
	// of State.Size, and the next data must begin with them.
	Tail int
	// Left is the number of bytes at the end of the data that were not read, because the allowed work was
	// done. Tail is 0 then.
	Left int
	// Work is an estimate of the time of the fold, in units of 100 ns.
	Work int
}

// Fold reads data, which continues the journal at s.Size, and returns the state after
// it. It returns *journal.CorruptError, *journal.NewerError or *RefusedError for an
// append that must not be stored, not even in part; s is never changed.
func Fold(s State, data []byte) (FoldResult, error) { return FoldLimited(s, data, math.MaxInt) }

// FoldLimited is Fold that stops after the record with which it has done the allowed work. It reads at least one record.
func FoldLimited(s State, data []byte, work int) (FoldResult, error) {
	digest, err := s.loadDigest()
	if err != nil {
		return FoldResult{}, fmt.Errorf("stored state of run %s attempt %d: %w", s.Run, s.Attempt, err)
	}
	f := folder{FoldResult: FoldResult{State: s.clone()}, digest: digest, allowed: work}
	f.Head = BlockHead{Start: s.Size, FirstLine: s.NextLine, Open: s.openLines()}
	for _, st := range s.Streams {
		f.Head.OutputStart += st.Kept
	}
	rest, err := f.records(data)
	if err != nil {
		return FoldResult{}, err
	}
	f.Tail = len(rest)
	if f.State.Digest, err = digest.MarshalBinary(); err != nil {
		return FoldResult{}, fmt.Errorf("save the digest of run %s attempt %d: %w", s.Run, s.Attempt, err)
	}
	f.Head.Size = f.State.Size - f.Head.Start
	if f.Head.Size == 0 {
		f.Head = BlockHead{}
		return f.FoldResult, nil
	}
	f.Head.Lines = f.State.NextLine - f.Head.FirstLine
	f.State.View.Output.Lines = f.State.NextLine - 1
	return f.FoldResult, nil
}

// folder holds the state of one Fold.
type folder struct {
	FoldResult
	digest  *journal.Digester
	allowed int               // of Work
	streams map[streamKey]int // places in State.Streams; nil until they are many
}

// records folds all whole records of data and returns the rest.
func (f *folder) records(data []byte) ([]byte, error) {
	s := &f.State
	if s.Size == 0 && len(data) > 0 {
		switch err := journal.CheckHeader(data); {
		case errors.Is(err, journal.ErrShort):
			return data, nil
		case err != nil:
			return nil, err
		}
		f.digest.Header(data)
		s.Header = slices.Clone(data[:journal.HeaderSize])
		s.Size, data = journal.HeaderSize, data[journal.HeaderSize:]
		f.Head.Start = s.Size
	}
	for len(data) > 0 {
		if s.Ended {
			return nil, &RefusedError{fmt.Sprintf("the journal of run %s attempt %d has its outcome; nothing can follow it", s.Run, s.Attempt)}
		}
		if f.Work >= f.allowed && s.Size > f.Head.Start {
			f.Left = len(data)
			return nil, nil
		}
		rec, n, err := journal.Next(data, s.Size)
		if errors.Is(err, journal.ErrShort) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		f.Work += s.work(rec)
		if err := f.record(rec); err != nil {
			return nil, err
		}
		f.digest.Record(data[:n])
		f.extendSpan(rec.At)
		s.Size += int64(n)
		data = data[n:]
	}
	return nil, nil
}

// extendSpan extends the range of times of the block.
func (f *folder) extendSpan(at time.Time) {
	if f.Head.FirstAt.IsZero() || at.Before(f.Head.FirstAt) {
		f.Head.FirstAt = at
	}
	if at.After(f.Head.LastAt) {
		f.Head.LastAt = at
	}
}

// record folds one record. A record that is not valid is corrupt: its checksum is right, so its writer was wrong.
func (f *folder) record(rec journal.Record) error {
	s := &f.State
	if !s.Known() {
		if rec.Type != journal.TypeAttempt {
			return f.corrupt("the first record is %s, not the attempt's identity", rec.Type)
		}
		return f.identity(rec)
	}
	switch rec.Type {
	case journal.TypeAttempt:
		return f.corrupt("a second identity record")
	case journal.TypeOutput:
		return f.output(rec)
	case journal.TypeStepStarted:
		return f.stepStarted(rec)
	case journal.TypeStepEnded:
		return f.stepEnded(rec)
	case journal.TypeSample:
		return f.sample(rec)
	case journal.TypeNote:
		return f.note(rec)
	case journal.TypeGap:
		return f.gap(rec)
	case journal.TypeStatus:
		return f.status(rec)
	case journal.TypeStopping:
		return f.stopping(rec)
	case journal.TypeOutcome:
		return f.outcome(rec)
	}
	s.Skipped++
	return nil
}

func (f *folder) corrupt(format string, args ...any) error {
	return &journal.CorruptError{Offset: f.State.Size, Why: fmt.Sprintf(format, args...)}
}

// decode reads a JSON payload.
func (f *folder) decode(rec journal.Record, v any) error {
	if err := journal.Decode(rec, v); err != nil {
		return f.corrupt("%s", CleanText(err.Error(), maxText))
	}
	return nil
}

// fact adds an event and moves the attempt's own state by it. It ignores an event that is not allowed in that state, which
// only a faulty agent records.
func (f *folder) fact(e job.Event, at time.Time, evidence string) {
	t, err := job.Next(f.State.View.State, e, at)
	if err != nil {
		return
	}
	f.State.View.State = t.To
	f.Facts = append(f.Facts, Fact{Event: e, At: at, Evidence: Truncate(evidence, maxText)})
}
