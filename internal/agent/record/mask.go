package record

import (
	"maps"
	"slices"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// This file masks secrets in the records of the journal that are not output; capture.go masks
// output. Masking happens before a record is written, so that no reader (the spool's file, the
// server, the caller's stdout) gets a secret.

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
		v.Text, v.Processes = secrets.String(v.Text), maskedProcesses(secrets, v.Processes)
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

func maskedProcesses(secrets *redact.Set, processes []job.StoppedProcess) []job.StoppedProcess {
	processes = slices.Clone(processes)
	for i := range processes {
		p := &processes[i]
		p.Name, p.Facts = secrets.String(p.Name), secrets.Strings(p.Facts)
	}
	return processes
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
