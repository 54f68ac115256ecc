// Package record writes the journal of an attempt. A Capture reads one stream that the job prints
// (capture.go). The Recorder writes its output, and all other records, into the journal, and wakes
// those who deliver it (recorder.go). Secrets are masked before anything is written (mask.go). The
// Passer passes recorded output on to the caller's stdout and stderr (passer.go), and a closer
// closes a stream of the job whose reader there has gone away (closer.go).
package record

// This file is the only one of the package that writes to the journal: all records come through the
// Recorder.

import (
	"io"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Config says where a recorder writes.
type Config struct {
	Journal *spool.Journal
	Secrets *redact.Set // masked in every record; nil for none
	// SendAtOnce is how many unsent bytes wake the delivery through Urgent.
	SendAtOnce int64
	// Print prints one line for people. It must not wait.
	Print func(line string)
	// Output takes what is recorded of the job's output too, unless it is nil. It must not wait.
	Output io.Writer
	// InMemory says that people know that the journal is held in memory.
	InMemory bool
}

// Recorder writes all records of the attempt into its journal, and wakes the delivery and the Passer
// when there is more to read. It does not wait for a disk that does not answer. It is safe for
// concurrent use.
type Recorder struct {
	cfg    Config
	passer *Passer // nil when output is not passed on

	begun          time.Time
	lastOutput     atomic.Int64 // nanoseconds from begun to the last output, from 1; 0 for none yet
	failurePrinted atomic.Bool  // that the disk failed
	nextIsUrgent   atomic.Bool  // the next that can be read is worth sending soon
	started        atomic.Bool  // the spool reports what can be read; until then, who records does
	more           chan struct{}
	urgent         chan struct{}
	moreForPasser  chan struct{}
}

// New makes a recorder. Start has a goroutine of the spool write.
func New(c Config) *Recorder {
	r := &Recorder{
		cfg: c, begun: time.Now(),
		more: make(chan struct{}, 1), urgent: make(chan struct{}, 1), moreForPasser: make(chan struct{}, 1),
	}
	r.failurePrinted.Store(c.InMemory)
	return r
}

// PassOn has the recorder pass output on to the caller. It is called before anything is
// recorded.
func (r *Recorder) PassOn(c Caller) *Passer {
	r.passer = newPasser(r, c)
	return r.passer
}

// Start hands the writing to a goroutine of the spool. A second call does nothing.
func (r *Recorder) Start() {
	r.started.Store(true)
	r.cfg.Journal.Start(r.notifyReaders)
}

// Journal returns the attempt's journal.
func (r *Recorder) Journal() *spool.Journal { return r.cfg.Journal }

// Secrets returns what is masked; nil for nothing.
func (r *Recorder) Secrets() *redact.Set { return r.cfg.Secrets }

// More receives a value when something can be read from the journal.
func (r *Recorder) More() <-chan struct{} { return r.more }

// Urgent receives a value when something can be read that is worth sending soon, or a lot.
func (r *Recorder) Urgent() <-chan struct{} { return r.urgent }

// SendSoon makes Urgent receive a value.
func (r *Recorder) SendSoon() { notify(r.urgent) }

// Record writes a record that is not output, with secrets masked. A sample or note for which there is
// no room is dropped, with an error; there is a reserve for all other records.
func (r *Recorder) Record(t journal.Type, at time.Time, v any) error {
	if t != journal.TypeSample && t != journal.TypeNote {
		r.nextIsUrgent.Store(true)
	}
	err := r.cfg.Journal.AppendJSON(t, at, masked(r.cfg.Secrets, v))
	r.notifyUnlessStarted()
	return err
}

// Note writes a text for people about the attempt (step -1) or a step.
func (r *Recorder) Note(step int, text string) {
	_ = r.Record(journal.TypeNote, time.Now(), journal.Note{Step: step, Text: text}) // no room: see Record
}

// NoteProcesses writes a note about the processes of a step.
func (r *Recorder) NoteProcesses(step int, n journal.Note) {
	n.Step = step
	_ = r.Record(journal.TypeNote, time.Now(), n) // no room: see Record
}

// output writes a record of output, whose raw bytes rec has from front on, and hands the output to
// the Passer. With own it may keep the memory of rec; then next is memory of the same size for the
// caller to continue with, else nil.
func (r *Recorder) output(rec []byte, step int, stream job.Stream, at time.Time, own bool) (next []byte) {
	journal.PutOutput(rec, step, stream, at)
	r.noteOutput(at)
	if w := r.cfg.Output; w != nil {
		_, _ = w.Write(rec[front:]) // it is kept beside the journal, which is what counts
	}
	next, length, kept := r.cfg.Journal.Output(rec, step, stream, own && r.passer == nil)
	if r.passer != nil {
		end := length + int64(len(rec))
		if kept != spool.Placed {
			end = 0 // it has no place that could be waited for
		}
		r.passer.add(stream, rec[front:], end)
	}
	r.notifyUnlessStarted()
	return next
}

// noteOutput notes that the job printed something. Times are kept as distances on the monotonic
// clock, so that a wall clock that jumps makes no job look silent.
func (r *Recorder) noteOutput(at time.Time) { r.lastOutput.Store(max(1, int64(at.Sub(r.begun)))) }

// OutputMark differs from an earlier one when something was printed in between.
func (r *Recorder) OutputMark() int64 { return r.lastOutput.Load() }

// OutputAt returns when the job last printed something; the zero time if it never did.
func (r *Recorder) OutputAt() time.Time {
	d := r.lastOutput.Load()
	if d == 0 {
		return time.Time{}
	}
	return r.begun.Add(time.Duration(d))
}

// EndStep gives all output its place, declares what was dropped, and writes a step's end.
func (r *Recorder) EndStep(at time.Time, e journal.StepEnded) error {
	r.cfg.Journal.PlaceTail()
	return r.Record(journal.TypeStepEnded, at, e)
}

// Finish writes the outcome, the last record.
func (r *Recorder) Finish(at time.Time, f journal.Final) error {
	r.cfg.Journal.PlaceTail()
	f.Outcome = r.MaskedOutcome(f.Outcome)
	r.nextIsUrgent.Store(true)
	err := r.cfg.Journal.Finish(at, f)
	r.notifyUnlessStarted()
	return err
}

// notifyUnlessStarted notifies the readers, unless the spool does.
func (r *Recorder) notifyUnlessStarted() {
	if !r.started.Load() {
		r.notifyReaders()
	}
}

// notifyReaders notifies the readers that there is more, and prints once that the disk has failed.
func (r *Recorder) notifyReaders() {
	notify(r.more)
	notify(r.moreForPasser)
	if r.nextIsUrgent.Swap(false) || r.cfg.Journal.Unsent() >= r.cfg.SendAtOnce {
		notify(r.urgent)
	}
	if err := r.cfg.Journal.DiskError(); err != nil && !r.failurePrinted.Swap(true) {
		r.cfg.Print("the journal of this run is held in memory, because it cannot be written to the spool: " + err.Error())
	}
}

// notify sends to a channel of capacity 1, unless it holds a value already.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
