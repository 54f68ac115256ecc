package agent

import (
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// recorder brings everything into the attempt's journal. It waits for no disk that stands
// still and for nobody else.
type recorder struct {
	spool *spool.Journal
	say   func(string)
	// secrets are masked in every record; set before anything is recorded, nil for none.
	secrets *redact.Set

	begun      time.Time
	lastOutput atomic.Int64 // nanoseconds from begun to the last output, from 1; 0 for none yet
	saidBad    atomic.Bool  // that the disk failed
	soon       atomic.Bool  // the next that can be read is worth sending soon

	started atomic.Bool   // the spool tells of what can be read; until then, who records does
	more    chan struct{} // cap 1: something can be read (for delivery)
	urgent  chan struct{} // cap 1: something worth sending soon, or a lot
	passed  chan struct{} // cap 1: something can be read (for passing output on)
	passer  *passer       // nil when output is not passed on
}

func newRecorder(j *spool.Journal, say func(string)) *recorder {
	return &recorder{
		begun: time.Now(), spool: j, say: say,
		more: make(chan struct{}, 1), urgent: make(chan struct{}, 1), passed: make(chan struct{}, 1),
	}
}

// start hands the writing to a goroutine of the spool. Again is harmless.
func (r *recorder) start() {
	r.started.Store(true)
	r.spool.Start(r.wake)
}

// record writes a record that is not output. What finds no room any more (only samples
// and notes can come to that, for there is a reserve) is dropped.
func (r *recorder) record(t journal.Type, at time.Time, v any) error {
	if t != journal.TypeSample && t != journal.TypeNote {
		r.soon.Store(true)
	}
	err := r.spool.AppendJSON(t, at, masked(r.secrets, v))
	if !r.started.Load() {
		r.wake()
	}
	return err
}

// note tells a person something about the attempt (step -1) or a step.
func (r *recorder) note(step int, text string) {
	_ = r.record(journal.TypeNote, time.Now(), journal.Note{Step: step, Text: text}) // no room: see record
}

// output records output whose raw bytes stand in place already (see journal.PutOutput). With
// own it may keep the memory; next is then what the caller goes on with, else nil.
func (r *recorder) output(rec []byte, step int, stream job.Stream, at time.Time, own bool) (next []byte) {
	journal.PutOutput(rec, step, stream, at)
	r.printed(at)
	next, length, kept := r.spool.Output(rec, step, stream, own && r.passer == nil)
	if r.passer != nil {
		end := length + int64(len(rec))
		if kept != spool.Placed {
			end = 0 // it has no place that could be waited for
		}
		r.passer.add(stream, rec[front:], end)
	}
	if !r.started.Load() {
		r.wake()
	}
	return next
}

// printed notes that the job printed something. Times are kept as distances on the steady
// clock, so that a wall clock that jumps makes nobody look silent.
func (r *recorder) printed(at time.Time) { r.lastOutput.Store(max(1, int64(at.Sub(r.begun)))) }

// outputAt is when the job last printed something; the zero time if it never did.
func (r *recorder) outputAt() time.Time {
	d := r.lastOutput.Load()
	if d == 0 {
		return time.Time{}
	}
	return r.begun.Add(time.Duration(d))
}

// endStep gives all output its place, declares what was dropped, and writes a step's end.
func (r *recorder) endStep(at time.Time, e journal.StepEnded) error {
	r.spool.Settle()
	return r.record(journal.TypeStepEnded, at, e)
}

// finish writes the outcome, the last record.
func (r *recorder) finish(at time.Time, f journal.Final) error {
	r.spool.Settle()
	f.Outcome = maskedOutcome(r.secrets, f.Outcome)
	r.soon.Store(true)
	err := r.spool.Finish(at, f)
	if !r.started.Load() {
		r.wake()
	}
	return err
}

// wake tells the readers that there is more, and says once when the disk has failed.
func (r *recorder) wake() {
	poke(r.more)
	poke(r.passed)
	if r.soon.Swap(false) || r.spool.Unsent() >= delivery.SendAtOnce {
		poke(r.urgent)
	}
	if err := r.spool.DiskError(); err != nil && !r.saidBad.Swap(true) {
		r.say("the journal of this run is held in memory, because it cannot be written to the spool: " + err.Error())
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
