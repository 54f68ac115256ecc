package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// follower is a live stream of one run: its place in the journal and what it has sent.
type follower struct {
	streams *Streams
	out     *eventWriter
	run     string
	pinned  int // the only attempt to send; 0 for the present and later ones
	filter  logs.Filter
	mute    bool // output is not sent

	attempt int        // whose journal is sent
	pos     int64      // offset in the journal up to which it was sent
	steps   []job.Step // of this attempt, as they were sent
	gaps    []job.Gap  // of this attempt
	chunk   outputChunk

	last    job.Run // the last snapshot that was sent
	mark    []byte  // snapshotMark of last
	figures []byte  // figuresMark of last
	lastAt  time.Time

	tail *tailStart // nil unless lines before the tail are skipped
}

// view returns the run as the stream shows it.
func (f *follower) view(ctx context.Context) (job.Run, error) {
	if f.pinned != 0 {
		return f.streams.Store.RunAttempt(ctx, f.run, f.pinned)
	}
	return f.streams.Broker.recent.run(ctx, f.streams.Store, f.run)
}

// step sends everything that is new. done reports whether the run has ended and everything was sent.
func (f *follower) step(ctx context.Context) (done bool, err error) {
	// The run is read before its journal: if it has ended, the last record of the journal is stored.
	view, err := f.view(ctx)
	if err != nil {
		return false, goneOr(ctx, err)
	}
	for {
		if f.attempt == view.Attempt {
			f.gaps = view.Output.Gaps
		}
		if err := f.drain(ctx); err != nil {
			return false, goneOr(ctx, err)
		}
		if f.pinned != 0 || view.Attempt <= f.attempt {
			break
		}
		// This includes an attempt that has begun and ended since the last step.
		if err := f.nextAttempt(ctx, view); err != nil {
			return false, goneOr(ctx, err)
		}
	}
	if err := f.snapshot(view); err != nil {
		return false, err
	}
	ended, err := f.ended(ctx, view)
	if err != nil || !ended {
		return false, goneOr(ctx, err)
	}
	return true, f.out.event("end", "", endEvent{State: view.State, Attempt: view.Attempt})
}

type endEvent struct {
	State   job.State `json:"state"`
	Attempt int       `json:"attempt"`
}

type attemptEvent struct {
	Attempt int `json:"attempt"`
}

// goneOr returns a *httpio.GoneError if ctx has ended, because the client has left, and err otherwise.
func goneOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &httpio.GoneError{Err: ctx.Err()}
	}
	return err
}

// ended reports whether the stream ends with what was sent.
func (f *follower) ended(ctx context.Context, view job.Run) (bool, error) {
	if view.State.Terminal() || f.pinned != 0 && view.Outcome != nil {
		return true, nil
	}
	if f.pinned == 0 {
		return false, nil
	}
	whole, err := f.streams.Broker.recent.run(ctx, f.streams.Store, f.run)
	return err == nil && whole.State.Terminal(), err
}

// nextAttempt continues with the attempt after this one, from its beginning.
func (f *follower) nextAttempt(ctx context.Context, newest job.Run) error {
	f.attempt, f.pos, f.steps, f.tail = f.attempt+1, 0, nil, nil
	f.filter.Forget()
	view, err := f.currentView(ctx, newest)
	if err != nil {
		return err
	}
	f.setAttempt(view)
	return f.out.event("attempt", eventID(f.attempt, 0), attemptEvent{f.attempt})
}

// setAttempt sets the gaps and the names of steps from the view of the current attempt.
func (f *follower) setAttempt(view job.Run) {
	f.gaps = view.Output.Gaps
	for _, step := range view.Steps {
		f.filter.AddStep(step.Index, step.Name)
	}
}

// currentView returns the run as the current attempt shows it, or newest if that attempt is not stored.
func (f *follower) currentView(ctx context.Context, newest job.Run) (job.Run, error) {
	if f.attempt == newest.Attempt {
		return newest, nil
	}
	view, err := f.streams.Store.RunAttempt(ctx, f.run, f.attempt)
	var missing *query.NotFoundError
	if errors.As(err, &missing) {
		return newest, nil
	}
	return view, err
}

// snapshot sends the run if its state, health or steps have changed, and once in snapshotInterval if only
// its figures have.
func (f *follower) snapshot(view job.Run) error {
	mark, figures := snapshotMark(view), figuresMark(view)
	now := time.Now()
	if bytes.Equal(mark, f.mark) && (bytes.Equal(figures, f.figures) || now.Sub(f.lastAt) < snapshotInterval) {
		return nil
	}
	f.recordSent(view)
	return f.out.event("run", "", view)
}

// recordSent records the snapshot that was sent last.
func (f *follower) recordSent(view job.Run) {
	f.last, f.mark, f.figures, f.lastAt = view, snapshotMark(view), figuresMark(view), time.Now()
}

// snapshotMark encodes the part of a run whose change is sent at once.
func snapshotMark(view job.Run) []byte {
	view.LastHeartbeatAt, view.Usage, view.Status = nil, job.Usage{}, ""
	view.Output.Bytes, view.Output.Lines = 0, 0
	return mustMark(view)
}

// figuresMark encodes the part of a run that changes all the time.
func figuresMark(view job.Run) []byte {
	return mustMark(struct {
		Beat   *time.Time
		Usage  job.Usage
		Output job.Output
		Status string
	}{view.LastHeartbeatAt, view.Usage, view.Output, view.Status})
}

func mustMark(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // a figure that JSON cannot represent, such as NaN, is a change
		return []byte(err.Error())
	}
	return b
}

// drain sends the journal of the current attempt from the place of the stream to its end.
func (f *follower) drain(ctx context.Context) error {
	for {
		b, err := f.streams.Broker.recent.read(ctx, f.streams.Store, f.run, f.attempt, f.pos)
		if err != nil {
			return err
		}
		if b == nil {
			return f.flushChunk()
		}
		if f.tail != nil && f.tail.over() {
			f.tail = nil
		}
		var events []byte
		if f.tail == nil && !f.mute && f.filter.All() && !b.block.Jumped {
			events = b.rendered()
		}
		if events == nil {
			err = f.sendBlock(b.block)
		} else if err = f.flushChunk(); err == nil {
			err = f.out.raw(events)
		}
		if err != nil {
			return err
		}
		f.pos = b.next
	}
}

// sendBlock sends the records of a block.
func (f *follower) sendBlock(b logs.Block) error {
	if b.Jumped {
		if err := f.sendGaps(); err != nil {
			return err
		}
	}
	if f.tail != nil {
		f.tail.beginBlock(b)
	}
	return b.Records(f.sendRecord)
}

// sendRecord sends a record that ends at an offset.
func (f *follower) sendRecord(rec journal.Record, end int64) error {
	if rec.Type == journal.TypeOutput {
		return f.sendOutput(rec, end)
	}
	if f.tail != nil && !f.tail.keeps(rec) {
		return nil
	}
	if err := f.flushChunk(); err != nil {
		return err
	}
	kind, data := f.eventOf(rec)
	if kind == "" {
		return nil
	}
	return f.out.event(kind, eventID(f.attempt, end), data)
}

// sendGaps sends the gaps for the part of the journal that was dropped.
func (f *follower) sendGaps() error {
	if err := f.flushChunk(); err != nil {
		return err
	}
	for _, g := range logs.CutGaps(f.gaps, f.filter) {
		if err := f.out.event("gap", "", g); err != nil {
			return err
		}
	}
	return nil
}

// maxChunk is how many bytes of output one event has at most. A single larger record is not divided,
// because an event id is the end of a record.
const maxChunk = 16 << 10

// outputChunk is the output of consecutive records of the same step and stream, which become one event.
type outputChunk struct {
	key  logs.Key
	at   time.Time
	end  int64
	data []byte
}

// outputEvent is a part of the output of a step. It ends where a write of the job ended, which may be in
// the middle of a line or of a character.
type outputEvent struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	At     time.Time  `json:"at"`
	Text   *string    `json:"text,omitempty"`
	Base64 []byte     `json:"base64,omitempty"`
}

// sendOutput adds an output record to the chunk, after it has sent a full chunk or one of another stream.
func (f *follower) sendOutput(rec journal.Record, end int64) error {
	o, err := journal.DecodeOutput(rec)
	if err != nil {
		return err
	}
	data := o.Data
	if f.tail != nil {
		if data, err = f.tail.cut(o); err != nil {
			return err
		}
	}
	if f.mute || len(data) == 0 || !f.filter.Match(o.Step, o.Stream) {
		return nil
	}
	key := logs.Key{Step: o.Step, Stream: o.Stream}
	if len(f.chunk.data) > 0 && (f.chunk.key != key || len(f.chunk.data)+len(data) > maxChunk) {
		if err := f.flushChunk(); err != nil {
			return err
		}
	}
	if len(f.chunk.data) == 0 {
		f.chunk.key, f.chunk.at = key, rec.At
	}
	f.chunk.data = append(f.chunk.data, data...)
	f.chunk.end = end
	return nil
}

// flushChunk sends the chunk, if it is not empty.
func (f *follower) flushChunk() error {
	c := &f.chunk
	if len(c.data) == 0 {
		return nil
	}
	ev := outputEvent{Step: c.key.Step, Stream: c.key.Stream, At: c.at}
	ev.Text, ev.Base64 = logs.TextOrBase64(c.data)
	err := f.out.event("output", eventID(f.attempt, c.end), ev)
	c.data = c.data[:0]
	if cap(c.data) > 4*maxChunk {
		c.data = nil
	}
	return err
}
