package record

import (
	"maps"
	"time"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Secrets are masked where the journal is written, so that no reader of it (the spool's
// file, the server, the caller's own stdout) can meet one.

// masked returns a record's payload with secrets masked. Names of steps, samples and gaps hold
// no text from outside, and the job's name is what the run is found by.
func masked(secrets *redact.Set, v any) any {
	if secrets == nil {
		return v
	}
	switch v := v.(type) {
	case journal.Attempt:
		v.Args, v.Install, v.Dir = secrets.Strings(v.Args), secrets.Strings(v.Install), secrets.String(v.Dir)
		v.Labels = maskedLabels(secrets, v.Labels)
		return v
	case journal.StepStarted:
		v.Command = secrets.String(v.Command)
		return v
	case journal.StepEnded:
		v.Outcome = maskedOutcome(secrets, v.Outcome)
		return v
	case journal.Note:
		v.Text = secrets.String(v.Text)
		return v
	case journal.Status:
		v.Text = secrets.String(v.Text)
		return v
	case journal.Stopping:
		v.By, v.Why = secrets.String(v.By), secrets.String(v.Why)
		return v
	}
	return v
}

// maskedLabels keeps every label a label: the mark may be longer than what it replaces.
func maskedLabels(secrets *redact.Set, labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	for k, v := range labels {
		if v = secrets.String(v); len(v) > job.MaxLabelBytes {
			v = redact.Mark
		}
		labels[k] = v
	}
	return labels
}

// MaskedOutcome returns an outcome with secrets masked.
func (r *Recorder) MaskedOutcome(o job.Outcome) job.Outcome {
	return maskedOutcome(r.cfg.Secrets, o)
}

func maskedOutcome(secrets *redact.Set, o job.Outcome) job.Outcome {
	o.Message, o.By = secrets.String(o.Message), secrets.String(o.By)
	if secrets != nil && o.OOM != nil {
		oom := *o.OOM
		oom.Victim = secrets.String(oom.Victim)
		o.OOM = &oom
	}
	return o
}

// mask is what a capture needs to mask its stream.
type mask struct {
	stream *redact.Stream
	rec    []byte // an output record in the making, with room for its frame
}

func newMask(secrets *redact.Set) *mask {
	if secrets == nil {
		return nil
	}
	return &mask{stream: secrets.Stream(), rec: make([]byte, front)}
}

// keep writes what was read to the journal; rec and next are as Recorder.output has them.
func (c *Capture) keep(rec []byte) (next []byte) {
	if c.mask == nil {
		return c.rec.output(rec, c.step, c.stream, time.Now(), true)
	}
	c.rec.printed(time.Now()) // also when all of it is held back
	c.mask.rec = c.mask.stream.Mask(c.mask.rec[:front], rec[front:])
	c.keepMasked()
	return nil
}

// keepRest writes what the mask has held back to the journal, at the end of the stream.
func (c *Capture) keepRest() {
	if c.mask != nil {
		c.mask.rec = c.mask.stream.Flush(c.mask.rec[:front])
		c.keepMasked()
	}
}

// keepMasked writes the mask's bytes in records of at most readSize. The frame of each
// is where the bytes before it were, which are written already.
func (c *Capture) keepMasked() {
	for at := front; at < len(c.mask.rec); at += readSize {
		c.rec.output(c.mask.rec[at-front:min(at+readSize, len(c.mask.rec))], c.step, c.stream, time.Now(), false)
	}
}
