package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/install"
	"stint.dev/stint/internal/agent/measure"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/progress"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/report"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/stdio"
	"stint.dev/stint/internal/agent/text"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// meta says whose journal the attempt's is.
func (a *attempt) meta() spool.Meta {
	c := a.cfg
	m := spool.Meta{Run: c.Run, Attempt: c.Attempt, Job: c.Job, Server: c.ServerURL, PID: os.Getpid(), Host: c.host()}
	if c.Submitted != nil {
		m.Worker = c.Submitted.Worker
	}
	if a.permit != nil {
		m.Token = a.permit.Token
	}
	return m
}

// openJournal begins to open the attempt's journal.
func (a *attempt) openJournal() *record.Opening {
	c := a.cfg
	return record.Open(record.OpenConfig{
		StateDir: c.StateDir, Limits: spool.Limits{Unsent: c.SpoolLimit}, Meta: a.meta(),
		Claim: func(s *spool.Spool) error {
			if c.Attempt != c.FirstAttempt {
				return nil
			}
			return c.claim.Take(s, c.Run, c.host())
		},
	})
}

// contain makes what holds the job's processes together.
func (a *attempt) contain() (*process.Group, error) {
	return process.Contain(process.Options{
		Run: a.cfg.Run, Attempt: a.cfg.Attempt, MemoryLimitBytes: a.cfg.MemoryLimit, CPULimit: a.cfg.CPULimit,
		MemoryLimitName: a.cfg.MemoryLimitName, CPULimitName: a.cfg.CPULimitName,
		OOMScoreAdj: a.cfg.OOMScoreAdj, AtMost: a.cfg.Containment, BeforeFork: a.cfg.BeforeFork,
		Finish: a.cfg.Finish, Held: a.cfg.Overlap.File(),
	})
}

// prepare opens the journal, makes the containment, and writes which attempt it is. With an
// error no job should start. For an attempt of a submitted run the permit comes before the
// journal.
func (a *attempt) prepare(ctx context.Context) error {
	var opening *record.Opening
	if a.cfg.Submitted == nil {
		opening = a.openJournal() // beside what follows
	}
	secrets, masked := environment.Secrets(a.cfg.environment())
	if secrets != nil {
		a.cfg.MaskMessages(secrets.String)
	}
	a.env = environment.Of(a.cfg.environment())
	group, err := a.contain()
	a.group = group
	var first []byte // of the journal of a submitted run
	if opening == nil {
		if err == nil {
			first, err = a.askPermit(ctx, secrets)
		}
		if err != nil {
			return a.abandonStart(err, nil)
		}
		opening = a.openJournal()
	}
	opened := time.Now()
	o := opening.Await()
	if o.Err != nil {
		return a.abandonStart(o.Err, nil)
	}
	if err != nil {
		return a.abandonStart(err, o.Journal)
	}
	a.spool = o.Spool
	a.makeParts(o.Journal, secrets)
	if first != nil {
		err = a.restoreFirst(o.Journal, first)
	} else {
		err, opened = a.identify(), a.begun
	}
	if err != nil {
		return a.abandonStart(err, o.Journal)
	}
	// From here on the run is known, whenever the agent is killed.
	o.Journal.AwaitWritten(record.OpenLimit - time.Since(opened))
	a.noteBeginning(o.Journal, masked)
	a.hadTerminal = stdio.HasTerminal()
	return nil
}

// abandonStart removes what was made before the start failed with err.
func (a *attempt) abandonStart(err error, j *spool.Journal) error {
	if a.group != nil {
		err = errors.Join(err, a.group.Close())
	}
	if j != nil {
		err = errors.Join(err, j.Remove())
	}
	return err
}

// noteBeginning records what is to be known before the first step.
func (a *attempt) noteBeginning(j *spool.Journal, masked []string) {
	a.recordNotes()
	a.reportUnenforced()
	if a.cfg.StateDir != "" && j.Path() == "" {
		a.rec.Note(-1, "the journal is held in memory, because the spool cannot be used: "+j.DiskError().Error())
	}
	a.progress, a.env = progress.Start(progress.Config{
		Recorder: a.rec, Group: a.group, Dir: j.Path(), Env: a.env, Limit: a.cfg.NoProgressTimeout,
	})
	for _, text := range slices.Concat(a.cfg.Notes, masked) {
		a.rec.Note(-1, text)
	}
	a.cfg.Overlap.Follow(func(text string) { a.rec.Note(-1, text) })
}

// makeParts makes what the attempt consists of, and begins to write the journal: from then on
// no disk that does not answer holds up the job.
func (a *attempt) makeParts(j *spool.Journal, secrets *redact.Set) {
	a.rec = record.New(record.Config{
		Journal: j, Secrets: secrets, SendAtOnce: delivery.SendAtOnce, Print: a.cfg.Print, InMemory: a.cfg.StateDir == "",
		Output: report.KeepTail(a.cfg.ReportTo),
	})
	if a.cfg.passesOutput() {
		a.passer = a.rec.PassOn(record.Caller{
			Stdout: a.cfg.Stdout, Stderr: a.cfg.Stderr, Limit: a.cfg.SpoolLimit, IgnoreClosed: a.cfg.IgnoreClosedOutput,
		})
	}
	a.stop = a.newStop()
	a.streams = stdio.New(stdio.Config{
		Stdin: a.cfg.Stdin, Stdout: a.cfg.Stdout, Stderr: a.cfg.Stderr, TTY: a.cfg.TTY, TypeStdin: a.cfg.TypeStdin,
		Merge: a.cfg.MergeOutput, KeepStdin: a.cfg.Retry.Possible(),
	}, a.rec, a.passer, a.cores)
	a.rec.Start()
	a.meter = measure.New(a.rec)
	a.background = &background{a: a}
}

// recordNotes records the notes of the containment that are new.
func (a *attempt) recordNotes() {
	notes := a.group.Notes()
	for _, text := range notes[a.notesRecorded:] {
		a.rec.Note(-1, text)
	}
	a.notesRecorded = len(notes)
}

// reportUnenforced reports which limits do not hold, unless that was reported.
func (a *attempt) reportUnenforced() {
	if text := a.group.Unenforced(); text != "" && text != *a.cfg.unenforced {
		*a.cfg.unenforced = text
		a.cfg.Print(text + "; the job runs all the same (stint doctor reports what is missing)")
	}
}

// identify writes the first record.
func (a *attempt) identify() error {
	c := a.cfg
	id := journal.Attempt{
		Run: c.Run, Attempt: c.Attempt, Job: c.Job, Args: c.Args, Install: c.Install, Dir: c.DirPath,
		Labels: c.Labels, EnvNames: c.EnvNames, Host: c.ReportedHost, BootID: c.BootID,
		AgentPID: os.Getpid(), AgentBegan: c.began, AgentVersion: c.Version, Containment: a.group.Level(),
		HeartbeatPeriodMS: c.heartbeatPeriod().Milliseconds(), TimeoutMS: c.Timeout.Milliseconds(),
		InstallTimeoutMS: c.InstallTimeout.Milliseconds(), NoOutputTimeoutMS: c.NoOutputTimeout.Milliseconds(),
		NoProgressTimeoutMS: c.NoProgressTimeout.Milliseconds(),
		MemoryLimitBytes:    c.MemoryLimit, CPULimit: c.CPULimit, ExpectMS: c.Expect.Milliseconds(), Due: c.Due,
		Environment: environment.Names(a.env), LockFiles: install.LockFiles(c.Dir, c.Install, c.InstallCache),
	}
	if s := c.Submitted; s != nil {
		id.Definition, id.Parameters, id.Worker, id.Incarnation = s.Definition, s.Parameters, s.Worker, s.Incarnation
	}
	if err := a.rec.Record(journal.TypeAttempt, a.begun, id); err == nil {
		return nil
	}
	// Only a command line longer than a record can be the reason: its beginning is enough.
	id.Args, id.Install = []string{text.Beginning(job.CommandLine(a.rec.Secrets().Strings(c.Args)), maxCommand)}, nil
	if err := a.rec.Record(journal.TypeAttempt, a.begun, id); err != nil {
		return fmt.Errorf("describe the run in its journal: %w", err)
	}
	a.rec.Note(-1, "the command line and the install steps are too long for the journal and were shortened in it")
	return nil
}
