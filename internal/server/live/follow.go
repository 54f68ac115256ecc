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

// follower is one live stream of one run: its place in the journal and what it has said.
type follower struct {
	streams *Streams
	out     *eventWriter
	run     string
	pinned  int // the attempt that was asked for; 0 to go on with later ones
	filter  logs.Filter
	mute    bool // output is not reported

	attempt int
	pos     int64
	steps   []job.Step // of this attempt, as far as the stream has told
	gaps    []job.Gap  // of this attempt
	chunk   outputChunk

	last    job.Run // as it was sent
	mark    []byte  // of last, see snapshotMark
	figures []byte
	lastAt  time.Time

	tail *tailStart // while lines before the asked-for tail are left out
}

// view reads the run as the stream shows it.
func (f *follower) view(ctx context.Context) (job.Run, error) {
	if f.pinned != 0 {
		return f.streams.Store.RunAttempt(ctx, f.run, f.pinned)
	}
	return f.streams.Broker.recent.run(ctx, f.streams.Store, f.run)
}

// step sends everything that is new. It is done when the run has ended and all was sent.
func (f *follower) step(ctx context.Context) (done bool, err error) {
	// The run is read before its journal: if it has ended by then, its last record is
	// there to be read.
	view, err := f.view(ctx)
	if err != nil {
		return false, f.quiet(ctx, err)
	}
	for {
		if f.attempt == view.Attempt {
			f.gaps = view.Output.Gaps
		}
		if err := f.drain(ctx); err != nil {
			return false, f.quiet(ctx, err)
		}
		if f.pinned != 0 || view.Attempt <= f.attempt {
			break
		}
		// Also one that has come and gone since the last look.
		if err := f.nextAttempt(ctx, view); err != nil {
			return false, f.quiet(ctx, err)
		}
	}
	if err := f.snapshot(view); err != nil {
		return false, err
	}
	ended, err := f.ended(ctx, view)
	if err != nil || !ended {
		return false, f.quiet(ctx, err)
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

// quiet drops the error of a read that failed because the client left.
func (f *follower) quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &httpio.GoneError{Err: ctx.Err()}
	}
	return err
}

// ended reports whether nothing more can be expected.
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

// nextAttempt goes on with the attempt after this one, from its beginning.
func (f *follower) nextAttempt(ctx context.Context, newest job.Run) error {
	f.attempt, f.pos, f.steps, f.tail = f.attempt+1, 0, nil, nil
	f.filter.Forget()
	view, err := f.earlier(ctx, newest)
	if err != nil {
		return err
	}
	f.show(view)
	return f.out.event("attempt", eventID(f.attempt, 0), attemptEvent{f.attempt})
}

// show makes view the current attempt.
func (f *follower) show(view job.Run) {
	f.gaps = view.Output.Gaps
	for _, step := range view.Steps {
		f.filter.Learn(step.Index, step.Name)
	}
}

// earlier is the run as the current attempt shows it; as the newest does if nothing is known of
// the current one.
func (f *follower) earlier(ctx context.Context, newest job.Run) (job.Run, error) {
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

// snapshot sends the run when its state, health or steps changed, and now and then when
// only its figures did.
func (f *follower) snapshot(view job.Run) error {
	mark, figures := snapshotMark(view), figuresMark(view)
	now := time.Now()
	if bytes.Equal(mark, f.mark) && (bytes.Equal(figures, f.figures) || now.Sub(f.lastAt) < snapshotEvery) {
		return nil
	}
	f.sent(view)
	return f.out.event("run", "", view)
}

func (f *follower) sent(view job.Run) {
	f.last, f.mark, f.figures, f.lastAt = view, snapshotMark(view), figuresMark(view), time.Now()
}

// snapshotMark is the part of a run whose change is told at once.
func snapshotMark(view job.Run) []byte {
	view.LastHeartbeatAt, view.Usage, view.Status = nil, job.Usage{}, ""
	view.Output.Bytes, view.Output.Lines = 0, 0
	return mustMark(view)
}

// figuresMark is the part that changes all the time.
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
	if err != nil { // a figure that JSON has no form for, such as NaN: tell it as a change
		return []byte(err.Error())
	}
	return b
}

// drain sends what the journal of the current attempt holds from the stream's place on.
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
			err = f.block(b.block)
		} else if err = f.flushChunk(); err == nil {
			err = f.out.raw(events)
		}
		if err != nil {
			return err
		}
		f.pos = b.next
	}
}

// block sends the records of one block.
func (f *follower) block(b logs.Block) error {
	if b.Jumped {
		if err := f.gone(); err != nil {
			return err
		}
	}
	if f.tail != nil {
		f.tail.block(b)
	}
	return b.Records(f.record)
}

// record sends one record, which ends at an offset.
func (f *follower) record(rec journal.Record, end int64) error {
	if rec.Type == journal.TypeOutput {
		return f.output(rec, end)
	}
	if f.tail != nil && !f.tail.other(rec) {
		return nil
	}
	if err := f.flushChunk(); err != nil {
		return err
	}
	kind, data := f.describe(rec)
	if kind == "" {
		return nil
	}
	return f.out.event(kind, eventID(f.attempt, end), data)
}

// gone tells of the part of the journal that was dropped.
func (f *follower) gone() error {
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

// maxChunk is how much output of one stream makes one event; a single larger record stays
// whole, because an event id can only stand between records.
const maxChunk = 16 << 10

// outputChunk gathers records of the same step and stream that follow each other.
type outputChunk struct {
	key  logs.Key
	at   time.Time
	end  int64
	data []byte
}

// outputEvent is a piece of what a step printed. Pieces end where the job's writes did,
// which may be in the middle of a line or of a character.
type outputEvent struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	At     time.Time  `json:"at"`
	Text   *string    `json:"text,omitempty"`
	Base64 []byte     `json:"base64,omitempty"`
}

func (f *follower) output(rec journal.Record, end int64) error {
	o, err := journal.DecodeOutput(rec)
	if err != nil {
		return err
	}
	data := o.Data
	if f.tail != nil {
		if data, err = f.tail.output(o); err != nil {
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

// flushChunk sends the gathered output.
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
