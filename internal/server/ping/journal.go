package ping

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// outputRecord is how many bytes one record of output has, and maxPart how many bytes of a journal one append.
	outputRecord = 64 << 10
	maxPart      = 1 << 20
	// maxJournal is how long the journal of a run may become by the bodies of its calls: each call reads it.
	maxJournal = 64 << 20
)

// beginning is what a new run begins with.
type beginning struct {
	run, job, host string
	wire           index.Wire
	version        string            // in place of that of an agent
	labels         map[string]string // besides those of every wire
	with           call              // the call that begins it
	expect         time.Duration     // how long it may take; 0 if that is not known
	period         time.Duration     // of its heartbeats
}

// runWriter writes the journal of a run, whose bytes are durable when flush has returned.
type runWriter struct {
	intake Intake
	store  Store
	run    string
	at     time.Time
	wire   *index.Wire // of a run that begins
	w      *journal.Writer
	part   *buffer // what is not durable
	sent   int64   // where part begins
	step   int     // that is open; -1 for none
	ended  bool    // before
}

// buffer is a part of a journal in memory.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// begin begins the journal of a new run.
func (s *Ping) begin(b beginning, now time.Time) (*runWriter, error) {
	w := &runWriter{intake: s.Intake, store: s.Store, run: b.run, at: now, wire: &b.wire, part: &buffer{}}
	labels := map[string]string{}
	maps.Copy(labels, b.labels)
	labels[wireLabel], labels[beganLabel] = b.wire.Name, string(b.with)
	var err error
	if w.w, err = journal.NewWriter(w.part); err != nil {
		return nil, err
	}
	return w, errors.Join(
		w.w.AppendJSON(journal.TypeAttempt, now, journal.Attempt{
			Run: b.run, Attempt: 1, Job: b.job, Host: b.host, AgentVersion: b.version, Labels: labels,
			HeartbeatPeriodMS: b.period.Milliseconds(), ExpectMS: b.expect.Milliseconds(),
		}),
		w.w.AppendJSON(journal.TypeStepStarted, now, journal.StepStarted{Name: "command", Kind: job.CommandStep}),
	)
}

// resume continues the journal of a run. It first reads the journal, because the outcome needs its digest.
func (s *Ping) resume(ctx context.Context, run string, now time.Time) (*runWriter, error) {
	was, err := journal.Recover(s.ReadJournal(ctx, run, 1))
	if err != nil {
		return nil, fmt.Errorf("read journal of run %s: %w", run, err)
	}
	w := &runWriter{intake: s.Intake, store: s.Store, run: run, at: now, part: &buffer{}, sent: was.Size, step: was.Open, ended: was.Ended}
	w.w = journal.ResumeWriter(w.part, was)
	return w, nil
}

// output adds what the run printed. What the limits do not allow is a gap.
func (w *runWriter) output(ctx context.Context, b *body) error {
	if b == nil || w.step < 0 {
		return nil
	}
	left := b.cut
	for _, chunk := range b.chunks {
		for len(chunk) > 0 && w.w.Size() < maxJournal {
			n := min(len(chunk), outputRecord)
			if err := w.w.Append(journal.OutputRecord(w.at, journal.Output{Step: w.step, Stream: job.Stdout, Data: chunk[:n]})); err != nil {
				return err
			}
			chunk = chunk[n:]
			if len(*w.part) >= maxPart {
				if err := w.flush(ctx); err != nil {
					return err
				}
			}
		}
		_, _ = left.Write(chunk) // which counts
	}
	return w.gap(ctx, left)
}

// gap adds a gap after the output. Its place is known once what comes before is stored.
func (w *runWriter) gap(ctx context.Context, l lost) error {
	if l.bytes == 0 {
		return nil
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	run, err := w.store.Run(ctx, w.run)
	if err != nil {
		return err
	}
	at := run.Output.Bytes
	for _, g := range run.Output.Gaps {
		at += g.Bytes
	}
	return w.w.AppendJSON(journal.TypeGap, w.at, job.Gap{
		Step: w.step, Stream: job.Stdout, AtBytes: at, Bytes: l.bytes, Lines: l.lines, At: w.at,
		Reason: fmt.Sprintf("of the body of a ping %d bytes are kept, and %d MiB of those of a run", BodyLimit, maxJournal>>20),
	})
}

// end adds the outcome.
func (w *runWriter) end(o job.Outcome) error {
	if w.step >= 0 {
		if err := w.w.AppendJSON(journal.TypeStepEnded, w.at, journal.StepEnded{Index: w.step, Outcome: o}); err != nil {
			return err
		}
	}
	return w.w.Finish(w.at, journal.Final{Outcome: o})
}

// flush makes durable what was added.
func (w *runWriter) flush(ctx context.Context) error {
	if len(*w.part) == 0 {
		return nil
	}
	_, err := w.intake.Append(ctx, index.Append{Run: w.run, Attempt: 1, Offset: w.sent, Data: *w.part, At: w.at, Wire: w.wire})
	w.sent += int64(len(*w.part))
	*w.part = nil
	return err
}

// endRun ends a run, unless it has ended.
func (s *Ping) endRun(ctx context.Context, run string, now time.Time, o job.Outcome, output *body) error {
	w, err := s.resume(ctx, run, now)
	if err != nil || w.ended {
		return err
	}
	if err := w.output(ctx, output); err != nil {
		return err
	}
	if err := w.end(o); err != nil {
		return err
	}
	return w.flush(ctx)
}

// beat renews the lease of a run.
func (s *Ping) beat(ctx context.Context, run string, now time.Time, length, period time.Duration) error {
	_, err := s.Intake.Beat(ctx, lease.Beat{
		Run: run, Attempt: 1, At: now, Lease: length,
		Heartbeat: job.Heartbeat{SentAt: now.UTC(), OutputAgeMS: -1, PeriodMS: period.Milliseconds()},
	})
	return err
}
