package agent

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// recorder is the one writer of the attempt's journal. It never waits for anything but the
// disk, counts the output it has to drop, and declares it as gaps.
type recorder struct {
	spool *spool.Journal
	say   func(string)
	// secrets are masked in every record; set before anything is recorded, nil for none.
	secrets *redact.Set

	mu      sync.Mutex
	w       *journal.Writer
	streams map[streamKey]*streamCount
	gaps    int
	saidBad bool // that the disk failed

	begun      time.Time
	lastOutput atomic.Int64 // nanoseconds from begun to the last output, from 1; 0 for none yet

	more   chan struct{} // cap 1: something was written (for delivery)
	urgent chan struct{} // cap 1: something worth sending soon, or a lot
	passed chan struct{} // cap 1: something was written (for passing output on)
	aside  chan dropped  // what found no room, for passing output on; nil without that
	behind atomic.Bool   // nobody takes from aside
}

// dropped is output that found no room in the journal.
type dropped struct {
	at     int64 // length of the journal then
	stream job.Stream
	data   []byte
}

type streamKey struct {
	step   int
	stream job.Stream
}

// streamCount is where one stream of one step is, and what of it was dropped since the
// last record.
type streamCount struct {
	bytes int64
	gap   job.Gap // Bytes > 0: to be declared before the stream goes on
}

// sendAtOnce is how much unsent output makes delivery not wait for more.
const sendAtOnce = 512 << 10

func newRecorder(j *spool.Journal, say func(string)) (*recorder, error) {
	r := &recorder{
		begun: time.Now(), spool: j, say: say, streams: make(map[streamKey]*streamCount),
		more: make(chan struct{}, 1), urgent: make(chan struct{}, 1), passed: make(chan struct{}, 1),
	}
	w, err := journal.NewWriter(j)
	r.w = w
	return r, err
}

// passOutput prepares for a second reader. Call it before anything is recorded.
func (r *recorder) passOutput() {
	r.spool.ExpectSecondReader()
	r.aside = make(chan dropped, asideDepth)
}

// record writes a record that is not output. What finds no room any more (only samples
// and notes can come to that, for there is a reserve) is dropped.
func (r *recorder) record(t journal.Type, at time.Time, v any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.w.AppendJSON(t, at, masked(r.secrets, v))
	r.wake(t != journal.TypeSample && t != journal.TypeNote)
	return err
}

// note tells a person something about the attempt (step -1) or a step.
func (r *recorder) note(step int, text string) {
	_ = r.record(journal.TypeNote, time.Now(), journal.Note{Step: step, Text: text}) // no room: see record
}

// output writes one output record whose raw bytes stand in place already (see
// journal.PutOutput).
func (r *recorder) output(rec []byte, step int, stream job.Stream, at time.Time) {
	raw := rec[journal.FrameSize+journal.OutputPrefix:]
	journal.PutOutput(rec, step, stream, at)
	if length, kept := r.keep(rec, raw, step, stream, at); !kept && r.aside != nil {
		r.handAside(dropped{at: length, stream: stream, data: bytes.Clone(raw)})
	}
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

// keep writes an output record, or counts it into a gap. It returns the journal's length
// before it.
func (r *recorder) keep(rec, raw []byte, step int, stream job.Stream, at time.Time) (length int64, kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	length = r.w.Size()
	r.printed(at)
	s := r.stream(step, stream)
	if s.gap.Bytes > 0 && !r.declare(s) {
		s.drop(raw)
		return length, false
	}
	err := r.w.AppendEncoded(rec)
	if errors.Is(err, spool.ErrFull) {
		s.gap = job.Gap{Step: step, Stream: stream, AtBytes: s.bytes, Reason: r.gapReason(), At: at}
		s.drop(raw)
		r.gaps++
		return length, false
	}
	s.bytes += int64(len(raw))
	r.wake(false)
	return length, true
}

// handAside gives output that the journal cannot hold to whoever passes output on: the
// caller's own stdout must not miss it. This one waits for the reader, as the job itself
// would without us, but not for a reader that has stalled.
func (r *recorder) handAside(d dropped) {
	defer poke(r.passed)
	select {
	case r.aside <- d:
		r.behind.Store(false)
		return
	default:
	}
	if r.behind.Load() {
		return
	}
	poke(r.passed)
	timer := time.NewTimer(passStall)
	defer timer.Stop()
	select {
	case r.aside <- d:
	case <-timer.C:
		r.behind.Store(true)
		r.say("the reader of our output has stalled and there is no room left: output is lost to it")
	}
}

func (s *streamCount) drop(raw []byte) {
	s.bytes += int64(len(raw))
	s.gap.Bytes += int64(len(raw))
	s.gap.Lines += int64(bytes.Count(raw, []byte{'\n'}))
}

// declare writes a stream's gap if there is room for more than the gap itself: else many
// small gaps would follow each other.
func (r *recorder) declare(s *streamCount) bool {
	if !r.spool.Roomy() {
		return false
	}
	if err := r.w.AppendJSON(journal.TypeGap, time.Now(), s.gap); err != nil {
		return false
	}
	s.gap = job.Gap{}
	return true
}

// endStep declares what is still to be declared of a step, and writes its end.
func (r *recorder) endStep(at time.Time, e journal.StepEnded) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.declareAll(e.Index)
	err := r.w.AppendJSON(journal.TypeStepEnded, at, masked(r.secrets, e))
	r.wake(true)
	return err
}

// declareAll writes the gaps of a step, or of all steps (-1), room or not: the reserve
// is there for it.
func (r *recorder) declareAll(step int) {
	for key, s := range r.streams {
		if s.gap.Bytes > 0 && (step < 0 || key.step == step) {
			if err := r.w.AppendJSON(journal.TypeGap, time.Now(), s.gap); err == nil {
				s.gap = job.Gap{}
			}
		}
	}
}

// finish writes the outcome, the last record.
func (r *recorder) finish(at time.Time, f journal.Final) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.declareAll(-1)
	f.Outcome = maskedOutcome(r.secrets, f.Outcome)
	err := r.w.Finish(at, f)
	r.wake(true)
	return err
}

func (r *recorder) dropped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gaps > 0
}

func (r *recorder) stream(step int, stream job.Stream) *streamCount {
	key := streamKey{step, stream}
	s := r.streams[key]
	if s == nil {
		s = &streamCount{}
		r.streams[key] = s
	}
	return s
}

func (r *recorder) gapReason() string {
	if err := r.spool.DiskError(); err != nil {
		return "the spool could not be written (" + err.Error() + ") and the memory for output was full"
	}
	return "the spool's quota was reached"
}

// wake tells the readers that there is more, and says once when the disk has failed.
func (r *recorder) wake(soon bool) {
	poke(r.more)
	poke(r.passed)
	if soon || r.spool.Unsent() >= sendAtOnce {
		poke(r.urgent)
	}
	if err := r.spool.DiskError(); err != nil && !r.saidBad {
		r.saidBad = true
		r.say("the journal of this run is held in memory, because it cannot be written to the spool: " + err.Error())
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
