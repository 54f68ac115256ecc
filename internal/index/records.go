package index

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// identity folds the first record, the identity of the attempt.
func (f *folder) identity(rec journal.Record) error {
	var a journal.Attempt
	if err := f.decode(rec, &a); err != nil {
		return err
	}
	if err := checkIdentity(f.State.Run, f.State.Attempt, a); err != nil {
		return err
	}
	v := &f.State.View
	v.Job, v.Dir, v.Host = a.Job, CleanText(a.Dir, maxText), CleanText(a.Host, maxText)
	v.Command = CleanText(job.CommandLine(a.Args), maxCommandBytes)
	v.Args = boundArgs(a.Args)
	v.Containment, v.AgentVersion = CleanText(a.Containment, 100), CleanText(a.AgentVersion, 100)
	for k, label := range a.Labels {
		v.Labels[k] = label
	}
	started := rec.At
	v.StartedAt = &started
	const longest = 24 * time.Hour
	f.State.HeartbeatPeriod = min(max(time.Duration(min(a.HeartbeatPeriodMS, longest.Milliseconds()))*time.Millisecond, 0), longest)
	f.State.Limits, f.State.Incarnation = limitsOf(a), CleanText(a.Incarnation, 100)
	if f.State.Due = nil; a.Due != nil && len(a.Due.Cron)+len(a.Due.Zone) <= maxDueText {
		f.State.Due = a.Due // it is checked where it is stored
	}
	f.fact(job.Event{Kind: job.AttemptStarted}, rec.At, fmt.Sprintf("Attempt %d began on host %s.", a.Attempt, v.Host))
	return nil
}

// maxDueText is the limit of a cron expression and its zone, in bytes.
const maxDueText = 400

// checkIdentity returns an error for a journal that belongs to another attempt, or whose names are not valid.
func checkIdentity(run string, attempt int, a journal.Attempt) error {
	if a.Run != run || a.Attempt != attempt {
		return &RefusedError{fmt.Sprintf("the journal says that it belongs to run %s attempt %d, but it was sent as run %s attempt %d",
			job.Quote(a.Run), a.Attempt, job.Quote(run), attempt)}
	}
	if err := CheckAddress(run, attempt); err != nil {
		return err
	}
	if err := job.CheckName(a.Job); err != nil {
		return &RefusedError{err.Error()}
	}
	if len(a.Labels) > job.MaxLabels {
		return &RefusedError{fmt.Sprintf("the run has %d labels; the most is %d", len(a.Labels), job.MaxLabels)}
	}
	for k, v := range a.Labels {
		if err := job.CheckLabel(k, v); err != nil {
			return &RefusedError{err.Error()}
		}
	}
	return nil
}

// CheckAddress returns an error for a run id or attempt number that is not valid.
func CheckAddress(run string, attempt int) error {
	if err := job.CheckRunID(run); err != nil {
		return &RefusedError{err.Error()}
	}
	if attempt < 1 || attempt > job.MaxAttempt {
		return &RefusedError{fmt.Sprintf("attempt %d is not between 1 and %d", attempt, job.MaxAttempt)}
	}
	return nil
}

// boundArgs returns the first arguments up to maxArgsBytes.
func boundArgs(args []string) []string {
	kept, left := []string{}, maxArgsBytes
	for _, a := range args {
		if left -= len(a) + 8; left < 0 {
			return append(kept, "…")
		}
		kept = append(kept, a)
	}
	return kept
}

func (f *folder) stepStarted(rec journal.Record) error {
	var p journal.StepStarted
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	v := &f.State.View
	if p.Index < 0 || p.Index > math.MaxUint16 {
		return f.corrupt("step %d does not exist: they are numbered from 0 to %d", p.Index, math.MaxUint16)
	}
	if p.Kind != job.InstallStep && p.Kind != job.CommandStep {
		return f.corrupt("step %d is of kind %s, which does not exist", p.Index, job.Quote(string(p.Kind)))
	}
	if f.step(p.Index) != nil {
		return f.corrupt("step %d starts a second time", p.Index)
	}
	if len(v.Steps) >= maxSteps {
		return &RefusedError{fmt.Sprintf("the journal has more than %d steps; put the install commands into one script", maxSteps)}
	}
	most := maxCommandBytes
	if len(v.Steps) >= fullCommands {
		most = 200
	}
	v.Steps = append(v.Steps, job.Step{
		Index: p.Index, Name: CleanText(p.Name, 200), Kind: p.Kind, Command: CleanText(p.Command, most),
		State: job.Running, PID: min(max(p.PID, 0), math.MaxInt32), StartedAt: rec.At,
	})
	f.State.SpokeAt = rec.At
	if p.Kind == job.InstallStep {
		f.fact(job.Event{Kind: job.InstallStarted}, rec.At, "Install step began: "+Truncate(CleanText(p.Command, 500), 500))
		return nil
	}
	f.fact(job.Event{Kind: job.CommandStarted}, rec.At, "The command began: "+Truncate(CleanText(p.Command, 500), 500))
	return nil
}

func (f *folder) step(index int) *job.Step {
	steps := f.State.View.Steps
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Index == index {
			return &steps[i]
		}
	}
	return nil
}

func (f *folder) stepEnded(rec journal.Record) error {
	var p journal.StepEnded
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	step := f.step(p.Index)
	if step == nil {
		return f.corrupt("step %d ends, but never began", p.Index)
	}
	if !p.Outcome.State.Terminal() {
		return f.corrupt("step %d ended with state %s, which is no end", p.Index, job.Quote(string(p.Outcome.State)))
	}
	at, o := rec.At, boundOutcome(p.Outcome, rec.At)
	step.State, step.EndedAt, step.ExitCode = o.State, &at, o.ExitCode
	step.Signal, step.Message = o.Signal, o.Message
	f.endSilence(rec.At)
	f.State.SpokeAt = time.Time{}
	for i := range f.State.Streams {
		if f.State.Streams[i].Step == p.Index {
			f.State.Streams[i].Line, f.State.Streams[i].Block = 0, 0
		}
	}
	return nil
}

// output counts the bytes and numbers the lines of an output record. A carriage return
// does not end a line, and neither does a gap.
func (f *folder) output(rec journal.Record) error {
	o, err := journal.DecodeOutput(rec)
	if err != nil {
		return f.corrupt("%v", err)
	}
	if len(o.Data) == 0 {
		return nil
	}
	s := &f.State
	st, err := f.stream(o.Step, o.Stream)
	if err != nil {
		return err
	}
	f.endSilence(rec.At)
	n := int64(len(o.Data))
	st.Bytes += n
	st.Kept += n
	f.Head.OutputBytes += n
	s.View.Output.Bytes += n

	ends := int64(bytes.Count(o.Data, []byte{'\n'}))
	closed := o.Data[len(o.Data)-1] == '\n'
	begun := ends
	if st.Line == 0 {
		begun++
	}
	if closed {
		begun--
	}
	s.NextLine += begun
	switch {
	case closed:
		st.Line, st.Block = 0, 0
	case begun > 0:
		st.Line, st.Block = s.NextLine-1, f.Head.Start
	}
	return nil
}

// endSilence updates the longest silence when the job prints, or a step ends.
func (f *folder) endSilence(at time.Time) {
	s := &f.State
	if s.SpokeAt.IsZero() || at.Before(s.SpokeAt) {
		return
	}
	longest := &s.View.Output.LongestSilenceSeconds
	*longest = max(*longest, at.Sub(s.SpokeAt).Seconds())
	s.SpokeAt = at
}

func (f *folder) sample(rec journal.Record) error {
	var p job.Sample
	if values(rec.Payload) > maxSampleValues {
		return &RefusedError{fmt.Sprintf("a sample of %d bytes has more values than any host has GPUs", len(rec.Payload))}
	}
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	if len(p.GPUs) > maxGPUs {
		return &RefusedError{fmt.Sprintf("a sample has %d GPUs; the most is %d", len(p.GPUs), maxGPUs)}
	}
	p.GPUs = boundGPUs(p.GPUs)
	p = p.Bounded()
	if p.At.IsZero() {
		p.At = rec.At
	}
	f.Samples = append(f.Samples, p)
	u := &f.State.View.Usage
	u.CPUSeconds = max(u.CPUSeconds, p.CPUSeconds)
	u.MemoryBytes = p.MemoryBytes
	u.PeakMemoryBytes = max(u.PeakMemoryBytes, p.MemoryBytes)
	if p.PeakBytes > u.PeakMemoryBytes {
		u.PeakMemoryWithCacheBytes = max(u.PeakMemoryWithCacheBytes, p.PeakBytes)
	}
	u.Processes = p.Processes
	u.ReadBytes = max(u.ReadBytes, p.ReadBytes)
	u.WrittenBytes = max(u.WrittenBytes, p.WriteBytes)
	return nil
}

// boundGPUs returns the devices that have figures.
func boundGPUs(all []job.GPU) []job.GPU {
	all = slices.DeleteFunc(all, func(g job.GPU) bool { return g == job.GPU{} })
	for i := range all {
		all[i].Name = CleanText(all[i].Name, maxGPUName)
	}
	return all
}

func (f *folder) note(rec journal.Record) error {
	var p journal.Note
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	v := &f.State.View
	f.stoppedProcesses(p)
	if len(v.Notes) < maxNotes {
		text := CleanText(p.Text, maxText)
		v.Notes, f.Notes = append(v.Notes, text), append(f.Notes, Note{rec.At, text})
		return nil
	}
	f.State.DroppedNotes++
	v.Notes[maxNotes-1] = fmt.Sprintf("(%d more notes are only in the journal)", f.State.DroppedNotes+1)
	return nil
}

func (f *folder) gap(rec journal.Record) error {
	var p job.Gap
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	if p.Stream != job.Stdout && p.Stream != job.Stderr {
		return f.corrupt("a gap in stream %s, which does not exist", job.Quote(string(p.Stream)))
	}
	if p.Bytes < 0 || p.Lines < 0 || p.AtBytes < 0 {
		return f.corrupt("a gap of negative size")
	}
	p = p.Bounded()
	st, err := f.stream(p.Step, p.Stream)
	if err != nil {
		return err
	}
	st.Bytes = job.AddBytes(st.Bytes, p.Bytes)
	p.Reason = CleanText(p.Reason, 200)
	if p.At.IsZero() {
		p.At = rec.At
	}
	gaps := &f.State.View.Output.Gaps
	if len(*gaps) >= maxGaps {
		for i := len(*gaps) - 1; i >= 0; i-- {
			if g := &(*gaps)[i]; g.Step == p.Step && g.Stream == p.Stream {
				g.Bytes, g.Lines = job.AddBytes(g.Bytes, p.Bytes), job.AddBytes(g.Lines, p.Lines)
				return nil
			}
		}
	}
	*gaps = append(*gaps, p)
	return nil
}

func (f *folder) status(rec journal.Record) error {
	var p journal.Status
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	f.State.View.Status = CleanText(p.Text, maxText)
	return nil
}

func (f *folder) stopping(rec journal.Record) error {
	var p journal.Stopping
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	evidence := agentEvidence(reasonText(p.Reason), CleanText(p.By, 200), CleanText(p.Why, 500))
	f.fact(job.Event{Kind: job.StopRequested}, rec.At, evidence)
	return nil
}

// outcome folds the last record. The output is complete only if the agent's count and digest of the journal agree with
// those of the bytes that arrived.
func (f *folder) outcome(rec journal.Record) error {
	var p journal.Final
	if err := f.decode(rec, &p); err != nil {
		return err
	}
	if !p.Outcome.State.Terminal() {
		return f.corrupt("the outcome has state %s, which is no end", job.Quote(string(p.Outcome.State)))
	}
	s, v := &f.State, &f.State.View
	o := boundOutcome(p.Outcome, rec.At)
	at := rec.At
	v.Outcome, v.EndedAt = &o, &at
	v.Output.Complete = p.Bytes == s.Size && p.Digest == f.digest.Sum() && len(v.Output.Gaps) == 0
	for i := range v.Steps {
		if v.Steps[i].EndedAt == nil {
			v.Steps[i].State, v.Steps[i].EndedAt = o.State, &at
		}
	}
	for i := range s.Streams {
		s.Streams[i].Line, s.Streams[i].Block = 0, 0
	}
	v.Usage = finalUsage(v.Usage, p.Usage.Bounded())
	s.Ended = true
	to := o.State
	if o.RetryAt != nil {
		to = job.Retrying
	}
	f.fact(job.Event{Kind: job.Ended, State: to}, rec.At, o.Message)
	return nil
}

func boundOutcome(o job.Outcome, ended time.Time) job.Outcome {
	o = o.Bounded(ended)
	o.Reason = job.Reason(CleanText(string(o.Reason), 50))
	o.Signal, o.Errno = CleanText(o.Signal, 50), CleanText(o.Errno, 50)
	o.Step, o.By, o.Message = CleanText(o.Step, 200), CleanText(o.By, 200), CleanText(o.Message, maxText)
	if o.State != job.Failed && o.State != job.TimedOut {
		o.RetryAt = nil // an agent retries only after these states
	}
	if o.OOM != nil {
		oom := *o.OOM
		oom.Victim = CleanText(oom.Victim, 200)
		o.OOM = &oom
	}
	return o
}

// finalUsage returns the larger totals of the samples and of the agent's last reading.
func finalUsage(seen, final job.Usage) job.Usage {
	return job.Usage{
		CPUSeconds:               max(seen.CPUSeconds, final.CPUSeconds),
		PeakMemoryBytes:          max(seen.PeakMemoryBytes, final.PeakMemoryBytes),
		PeakMemoryWithCacheBytes: max(seen.PeakMemoryWithCacheBytes, final.PeakMemoryWithCacheBytes),
		ReadBytes:                max(seen.ReadBytes, final.ReadBytes),
		WrittenBytes:             max(seen.WrittenBytes, final.WrittenBytes),
	}
}
